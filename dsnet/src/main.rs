//! The `dsnet` program: see [`dsnet::cli`].

fn main() -> std::process::ExitCode {
    dsnet::cli::main()
}
