//! What must not creep into `Cargo.lock`.

/// `postgrest` asks for an HTTP and TLS stack with open advisories; see `patches/reqwest`.
#[test]
fn there_is_one_http_stack_and_one_tls_stack() {
    let lock = include_str!("../Cargo.lock");
    for name in [
        "hyper",
        "h2",
        "http",
        "rustls",
        "rustls-webpki",
        "tokio-rustls",
        "aws-lc-rs",
    ] {
        let versions = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        assert_eq!(
            versions, 1,
            "versions of {name}; see: cargo tree --invert {name}"
        );
    }
}
