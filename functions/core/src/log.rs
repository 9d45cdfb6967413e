//! Log lines on standard output, where a platform picks them up.
//!
//! A line is a message for people. What is worth counting stands in fields beside it, which a line of
//! text does not show: `users_healed`, `users_refreshed` and `sync_duration_ms` of a synced user,
//! `webhook_outcome` of an event, `upstream_error` (`clerk` or `supabase`) of a failed request.

use std::{io, str::FromStr};

use tracing_subscriber::fmt::{MakeWriter, format};

/// The shape of a line, from `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person's eye.
    #[default]
    Text,
    /// One JSON object a line, for a machine.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be `text` or `json`"),
        }
    }
}

/// Writes all that is logged from here on, in every thread of the process, to standard output. To be
/// called once.
pub fn init(format: LogFormat) {
    init_with(format, io::stdout);
}

/// As [`init`] does, to another place.
pub fn init_with(format: LogFormat, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let lines = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => {
            let message = format::debug_fn(|line, field, value| match field.name() {
                "message" => write!(line, "{value:?}"),
                _ => Ok(()),
            });
            lines.fmt_fields(message).init();
        }
        LogFormat::Json => lines.json().init(),
    }
}
