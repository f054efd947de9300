//! cli

/// Runs one command and gives its exit code: 0 done, 1 it failed, 2 wrong usage, 3 done in part.
pub fn run(_args: std::env::ArgsOs) -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
