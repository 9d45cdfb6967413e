//! The local parts that the functions need, all real but for Clerk's cloud, which is a stand-in
//! that speaks the real protocols.

mod postgres;
mod process;
mod random;
mod server;
mod supabase;
mod tools;

pub use postgres::Postgres;
pub use process::Log;
pub use supabase::{
    Supabase,
    gateway::{Fault as SupabaseFault, Keys as SupabaseKeys},
};
