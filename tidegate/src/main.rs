//! The binary: reads what it was started with, runs the command, exits with its code.

use std::process::ExitCode;

use clap::Parser;
use tidegate::{
    cli::Cli,
    run::{Environment, run},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    silence_onnxruntime();
    let environment = Environment {
        variables: std::env::vars_os().filter_map(text).collect(),
        ort: std::env::var_os("ORT_DYLIB_PATH").map(Into::into),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli, environment));
            // what still runs on a blocking thread was given up: the process does not wait for it
            runtime.shutdown_background();
            ExitCode::from(code)
        }
        Err(error) => {
            tidegate::output::fatal(&error);
            ExitCode::FAILURE
        }
    }
}

/// Keeps ONNX Runtime from reporting to its makers: the wheel's library uploads usage, and keeps a device's id in the user's
/// cache folder, unless this variable stands in the environment before it is loaded. Whoever wants that sets it to 0.
#[expect(unsafe_code, reason = "the library reads it from the environment of its own process and nowhere else")]
fn silence_onnxruntime() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: no other thread exists yet that could read the environment meanwhile
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
}

/// A variable that is text; others cannot be settings of ours.
fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}
