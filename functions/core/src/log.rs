//! Log lines on standard output, where Vercel and CloudWatch pick them up.

use std::str::FromStr;

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

/// Writes all that is logged from here on, in every thread of the process. A second call in one
/// process changes nothing.
pub fn init(format: LogFormat) {
    let lines = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false);
    // The error says that somebody else has set up logging, who then has the say.
    let _already_set = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
