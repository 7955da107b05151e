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

/// A variable that is text; others cannot be settings of ours.
fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}
