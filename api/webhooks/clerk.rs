//! `POST /api/webhooks/clerk` on Vercel.

fn main() -> Result<(), vercel::Error> {
    vercel::serve::<clerk_webhook::ClerkWebhook>()
}
