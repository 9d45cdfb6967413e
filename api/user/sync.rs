//! `POST /api/user/sync` on Vercel.

fn main() -> Result<(), vercel::Error> {
    vercel::serve::<user_sync::UserSync>()
}
