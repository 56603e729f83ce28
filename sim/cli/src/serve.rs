//! `mailstorm serve`: a real server, on sockets and files.

use crate::args::Service;
use crate::failure::{ExitCode, Failure};
use mailstorm_host::coordination::Listening;
use mailstorm_host::real::run_real_server;
use std::io::IsTerminal;
use std::rc::Rc;
use tracing_subscriber::EnvFilter;

/// Serves until the process is asked to end, or cannot go on.
pub(crate) fn serve(service: &Service) -> Result<ExitCode, Failure> {
    let Service::Coordination { config, initialise } = service;
    let filter = what_to_log()?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // With nobody there to read the log, a complaint about that would end the server.
        .log_internal_errors(false)
        .init();
    let configured =
        mailstorm_host::config::load(config).map_err(|error| Failure::new(error.to_string()))?;
    for remark in &configured.remarks {
        tracing::warn!("{}: {remark}", config.display());
    }
    let mut server = configured.server;
    server.settings.initialise |= initialise;
    server.settings.on_listening = Some(Rc::new(|listening: &Listening| {
        let peers = listening.peers.as_ref().map_or("none", |address| &address.0);
        tracing::info!(clients = %listening.clients, peers, "listening");
    }));
    run_real_server(server).map_err(|error| Failure::new(error.to_string()))?;
    Ok(ExitCode::Pass)
}

/// What the server tells: what an operator wants to know, or what `RUST_LOG` says.
fn what_to_log() -> Result<EnvFilter, Failure> {
    let said = std::env::var_os(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    if said.is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    let said = said.to_string_lossy();
    EnvFilter::try_new(&said).map_err(|error| {
        let expected = "expected a level like 'debug', or 'mailstorm_host=debug'";
        Failure::new(format!("RUST_LOG is '{said}' ({error}): {expected}"))
    })
}
