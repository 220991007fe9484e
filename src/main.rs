//! The `cocoasyncer` binary: installs the crypto provider, runs the command line, turns its outcome into an exit code.

fn main() {}
