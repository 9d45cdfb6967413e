//! `POST /api/user/sync` on AWS Lambda, behind a function URL.

fn main() -> Result<(), lambda::Error> {
    lambda::serve::<user_sync::UserSync>()
}
