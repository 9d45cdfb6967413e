//! Log lines for CloudWatch: one JSON object each.
//!
//! A line that counts something is also a metric, in CloudWatch's embedded metric format. So
//! metrics need no calls, and no request waits for them
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::{
    env, fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};
use user_sync_core::log::{self, LogFormat, field};

/// The namespace of this project's metrics.
const NAMESPACE: &str = "UserSync";

/// Fields with a number: the field, the metric, its unit.
const NUMBERS: [(&str, &str, &str); 3] = [
    (field::USERS_HEALED, "UsersHealed", "Count"),
    (field::USERS_REFRESHED, "UsersRefreshed", "Count"),
    (field::SYNC_DURATION_MS, "SyncDuration", "Milliseconds"),
];

/// Fields with a word that is counted: the field, the metric, the dimension for the word.
const WORDS: [(&str, &str, &str); 2] = [
    (field::WEBHOOK_OUTCOME, "WebhookEvents", "Outcome"),
    (field::UPSTREAM_ERROR, "UpstreamErrors", "Service"),
];

/// Logs for CloudWatch if the log format of the Lambda function is JSON. Otherwise logs as on any
/// platform.
pub fn init_log(format: LogFormat) {
    let is_set = |name, value| env::var(name).is_ok_and(|set| set == value);
    if is_set("AWS_LAMBDA_LOG_FORMAT", "JSON") {
        let function_name = env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        tracing_subscriber::fmt()
            .event_format(CloudWatchFormat { function_name })
            .init();
    } else {
        log::init(format);
    }
}

struct CloudWatchFormat {
    function_name: String,
}

impl<S, N> FormatEvent<S, N> for CloudWatchFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str();
        let line = self.line(level, fields.0, SystemTime::now());
        writeln!(writer, "{line}")
    }
}

impl CloudWatchFormat {
    fn line(&self, level: &str, fields: Map<String, Value>, now: SystemTime) -> Value {
        let mut line = json!({
            "timestamp": humantime::format_rfc3339_millis(now).to_string(),
            "level": level,
        });
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (members, directives) = self.metrics(&fields);
        if !directives.is_empty() {
            line["_aws"] = json!({
                "Timestamp": u64::try_from(since_1970.as_millis()).unwrap_or_default(),
                "CloudWatchMetrics": directives,
            });
        }
        for (name, value) in fields.into_iter().chain(members) {
            line[name] = value;
        }
        line
    }

    /// The members of a line that are metrics or dimensions, and the directives that declare them.
    fn metrics(&self, fields: &Map<String, Value>) -> (Map<String, Value>, Vec<Value>) {
        let mut members = Map::new();
        let mut directives = Vec::new();
        let mut directive = |dimensions: Value, metrics: Vec<Value>| {
            directives.push(json!({
                "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics,
            }));
        };
        let mut metrics = Vec::new();
        for (field, metric, unit) in NUMBERS {
            if let Some(number) = fields.get(field) {
                members.insert(metric.to_owned(), number.clone());
                metrics.push(json!({ "Name": metric, "Unit": unit }));
            }
        }
        if !metrics.is_empty() {
            directive(json!([["FunctionName"]]), metrics);
        }
        for (field, metric, dimension) in WORDS {
            if let Some(word) = fields.get(field) {
                members.insert(metric.to_owned(), json!(1));
                members.insert(dimension.to_owned(), word.clone());
                directive(
                    json!([["FunctionName"], ["FunctionName", dimension]]),
                    vec![json!({ "Name": metric, "Unit": "Count" })],
                );
            }
        }
        if !directives.is_empty() {
            members.insert("FunctionName".to_owned(), json!(self.function_name));
        }
        (members, directives)
    }
}

/// The fields of a log event, including its message.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.0.insert(field.name().to_owned(), json!(text));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(fields: Value) -> Value {
        let Value::Object(fields) = fields else {
            panic!("fields are an object");
        };
        let format = CloudWatchFormat {
            function_name: "app-user-sync".to_owned(),
        };
        let now = UNIX_EPOCH + Duration::from_millis(1_763_000_000_123);
        format.line("INFO", fields, now)
    }

    #[test]
    fn a_line_that_counts_nothing_has_no_metric() {
        assert_eq!(
            line(json!({ "message": "hello" })),
            json!({ "timestamp": "2025-11-13T02:13:20.123Z", "level": "INFO", "message": "hello" })
        );
    }

    #[test]
    fn a_healed_user_is_counted_and_timed() {
        let fields = json!({ "users_healed": 1, "users_refreshed": 0, "sync_duration_ms": 42 });
        let line = line(fields);
        assert_eq!(
            line["_aws"],
            json!({
                "Timestamp": 1_763_000_000_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "UserSync",
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [
                        { "Name": "UsersHealed", "Unit": "Count" },
                        { "Name": "UsersRefreshed", "Unit": "Count" },
                        { "Name": "SyncDuration", "Unit": "Milliseconds" },
                    ],
                }],
            })
        );
        for (name, value) in [
            ("FunctionName", json!("app-user-sync")),
            ("UsersHealed", json!(1)),
            ("UsersRefreshed", json!(0)),
            ("SyncDuration", json!(42)),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    #[test]
    fn a_word_is_counted_in_total_and_on_its_own() {
        for (field, metric, dimension) in WORDS {
            let line = line(json!({ field: "stale" }));
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(
                directive["Dimensions"],
                json!([["FunctionName"], ["FunctionName", dimension]])
            );
            assert_eq!(directive["Metrics"][0]["Name"], metric);
            assert_eq!(
                (&line[metric], &line[dimension]),
                (&json!(1), &json!("stale"))
            );
        }
    }
}
