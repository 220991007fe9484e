//! The `cocoasyncer` binary: installs the crypto provider, runs the command line, turns its outcome into an exit code.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // The HTTP clients panic without a provider. A second installation can't happen here, and would be harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cocoasyncer::cli::run(std::env::args_os()).await
}
