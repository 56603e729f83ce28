//! `mailstorm serve`: a real server, on sockets and files.

use crate::args::Service;
use crate::failure::{ExitCode, Failure};
use mailstorm_host::coordination::Listening;
use mailstorm_host::real::run_real_server;
use std::io::IsTerminal;
use std::rc::Rc;
use tracing_subscriber::EnvFilter;

/// Serves until the process is stopped, or cannot go on.
pub(crate) fn serve(service: &Service) -> Result<ExitCode, Failure> {
    let Service::Coordination { config, initialise } = service;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let mut server =
        mailstorm_host::config::load(config).map_err(|error| Failure::new(error.to_string()))?;
    server.settings.initialise |= initialise;
    server.settings.on_listening = Some(Rc::new(|listening: &Listening| {
        let peers = listening.peers.as_ref().map_or("none", |address| &address.0);
        tracing::info!(clients = %listening.clients, peers, "listening");
    }));
    run_real_server(server).map_err(|error| Failure::new(error.to_string()))?;
    Ok(ExitCode::Pass)
}
