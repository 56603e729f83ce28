//! `mailstorm serve`: a real server, on sockets and files.

mod config;

use crate::args::Service;
use crate::failure::{ExitCode, Failure};
use mailstorm_coordination::node::NodeStart;
use mailstorm_host::Settings;
use mailstorm_host::real::run;
use mailstorm_shared::machine::Address;
use std::fs;
use std::io::IsTerminal;
use std::rc::Rc;
use std::sync::Arc;
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
    let mut configured = config::load(config).map_err(|error| Failure::new(error.to_string()))?;
    for remark in &configured.remarks {
        tracing::warn!("{}: {remark}", config.display());
    }
    configured.settings.initialise |= initialise;
    let facts = &mut configured.settings.server.host;
    facts.data_folder = configured.data.display().to_string().into();
    facts.environment = environment();
    let settings = Settings {
        reserve_bytes: configured.reserve_bytes,
        on_listening: Some(Rc::new(|bound: &[Option<Address>]| {
            let [clients, peers] = bound else { return };
            let clients = clients.as_ref().map_or("none", |address| &*address.0);
            let peers = peers.as_ref().map_or("none", |address| &*address.0);
            tracing::info!(%clients, peers, "listening");
        })),
        ..Settings::default()
    };
    run(&configured.data, NodeStart::new(configured.settings), settings)
        .map_err(|error| Failure::new(error.to_string()))?;
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

/// What `envi` shows, under the keys that ZooKeeper has for it.
fn environment() -> Vec<(Arc<str>, Arc<str>)> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    let rows = [
        ("host.name", host.trim().to_owned()),
        ("os.name", std::env::consts::OS.to_owned()),
        ("os.arch", std::env::consts::ARCH.to_owned()),
        ("user.dir", folder.display().to_string()),
    ];
    rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
