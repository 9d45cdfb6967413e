//! Log lines on standard output, where a platform picks them up. A line is a message for people,
//! and may count something beside its words.

use std::{fmt, io, str::FromStr, time::Duration};

use tracing_subscriber::fmt::{MakeWriter, format};

use crate::config::{Unset, Variable};

/// `LOG_FORMAT`, read by [`crate::function::build`].
pub const FORMAT: Variable = Variable {
    names: &["LOG_FORMAT"],
    holds: "the shape of a log line: `text` or `json`",
    unset: Unset::Default("text"),
};

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person's eye.
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

/// What a line counts. A line of text does not show it; CloudWatch makes metrics of it.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// A missing user was written, this long after the request came in.
    UserHealed(Duration),
    /// A user in doubt was confirmed or updated, this long after the request came in.
    UserRefreshed(Duration),
    /// An event was answered for good, with this outcome.
    WebhookEvent(&'static str),
    /// This service did not do its part.
    UpstreamError(Service),
}

/// An outside service.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// Clerk's Backend API.
    Clerk,
    /// Supabase's REST API.
    Supabase,
}

/// The names of the fields that a line carries beside its message.
pub mod field {
    /// 1 where a missing user was written.
    pub const USERS_HEALED: &str = "users_healed";
    /// 1 where a user in doubt was confirmed or updated.
    pub const USERS_REFRESHED: &str = "users_refreshed";
    /// How long that took, in milliseconds.
    pub const SYNC_DURATION_MS: &str = "sync_duration_ms";
    /// What became of an event, in one word.
    pub const WEBHOOK_OUTCOME: &str = "webhook_outcome";
    /// `clerk` or `supabase`.
    pub const UPSTREAM_ERROR: &str = "upstream_error";
}

#[derive(Default)]
struct Fields {
    users_healed: Option<u64>,
    users_refreshed: Option<u64>,
    sync_duration_ms: Option<u64>,
    webhook_outcome: Option<&'static str>,
    upstream_error: Option<&'static str>,
}

impl Count {
    fn fields(self) -> Fields {
        let synced = |healed: bool, duration: Duration| Fields {
            users_healed: Some(u64::from(healed)),
            users_refreshed: Some(u64::from(!healed)),
            sync_duration_ms: u64::try_from(duration.as_millis()).ok(),
            ..Fields::default()
        };
        match self {
            Self::UserHealed(duration) => synced(true, duration),
            Self::UserRefreshed(duration) => synced(false, duration),
            Self::WebhookEvent(outcome) => Fields {
                webhook_outcome: Some(outcome),
                ..Fields::default()
            },
            Self::UpstreamError(service) => Fields {
                upstream_error: Some(match service {
                    Service::Clerk => "clerk",
                    Service::Supabase => "supabase",
                }),
                ..Fields::default()
            },
        }
    }
}

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All is as it should be.
    Info,
    /// Worth a look where it happens often.
    Warn,
    /// Somebody must act where it lasts.
    Error,
}

/// Writes a line, and what it counts.
pub fn write(level: Level, count: Option<Count>, line: fmt::Arguments<'_>) {
    let fields = count.map(Count::fields).unwrap_or_default();
    macro_rules! write_at {
        ($level:ident) => {
            tracing::$level!(
                { field::USERS_HEALED } = fields.users_healed,
                { field::USERS_REFRESHED } = fields.users_refreshed,
                { field::SYNC_DURATION_MS } = fields.sync_duration_ms,
                { field::WEBHOOK_OUTCOME } = fields.webhook_outcome,
                { field::UPSTREAM_ERROR } = fields.upstream_error,
                "{line}"
            )
        };
    }
    match level {
        Level::Info => write_at!(info),
        Level::Warn => write_at!(warn),
        Level::Error => write_at!(error),
    }
}

/// Writes all lines of the process to standard output from here on. To be called once.
pub fn init(format: LogFormat) {
    init_with(format, io::stdout);
}

/// Does what [`init`] does, with another place to write to.
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
