//! The binary: hand the arguments to [`overread::cli`], give its exit code to the shell.

fn main() -> std::process::ExitCode {
    overread::cli::run(std::env::args_os())
}
