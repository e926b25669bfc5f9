//! The OCI runtime command line.

fn main() {
    eprintln!("conex-runtime: no verb yet");
    std::process::exit(1);
}
