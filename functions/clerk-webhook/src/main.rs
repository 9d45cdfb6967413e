//! `POST /api/webhooks/clerk` on AWS Lambda, behind a function URL.

fn main() -> Result<(), lambda::Error> {
    lambda::serve::<clerk_webhook::ClerkWebhook>()
}
