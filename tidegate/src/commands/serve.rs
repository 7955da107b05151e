//! `serve`: the gateway, the owner's socket, and the background work, until the signal.

use std::time::Duration;

use tidegate_catalog::Clock;
use tokio_util::sync::CancellationToken;

use super::{
    catalog::{Done, Failure},
    exit,
};
use crate::{
    instance::{Instance, Serving},
    output::Printer,
};

/// How often retired generations are looked for.
const RECLAIM_EVERY: Duration = Duration::from_secs(60);

/// `tidegate serve`
/// # Errors
/// In words: no ONNX Runtime although an endpoint needs it, an address that cannot be taken.
pub async fn serve(instance: &Instance, printer: &Printer, cancel: &CancellationToken) -> Done {
    let bound = instance.gateway(instance.project.config.gateway.listen).await.map_err(Failure::new)?;
    let address = bound.addr;
    let serving = Serving { address, version: bound.served_version() };
    instance.serving.set(serving).map_err(|_| Failure::new("this process serves already"))?;
    instance.clock.run_on();
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(%address, version, "serving");
    let project = &instance.project.config.project;
    printer.note(format!("tidegate {version} serves project {project} on http://{address}")).await;
    if let Some(as_of) = instance.clock.as_of() {
        printer.note(format!("event time started at {as_of} (--as-of)")).await;
    }
    tokio::select! {
        () = bound.run(cancel.clone().cancelled_owned()) => {}
        () = reclaim_for_ever(instance, cancel) => {}
    }
    Ok(exit::DONE)
}

/// Removes the rows of generations that readers left longer than the grace ago.
async fn reclaim_for_ever(instance: &Instance, cancel: &CancellationToken) {
    let mut every = tokio::time::interval(RECLAIM_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = reclaim(instance, cancel).await {
            tracing::warn!(%error, "retired generations could not be reclaimed; trying again");
        }
    }
}

async fn reclaim(instance: &Instance, cancel: &CancellationToken) -> Result<(), Failure> {
    let grace = instance.project.config.reclaim_grace;
    let ripe = instance.registry.reclaimable(instance.clock.wall_now(), grace).await?;
    let fields = ripe.iter().map(|retired| retired.generation.field).collect::<Vec<_>>();
    if fields.is_empty() {
        return Ok(());
    }
    tidegate_materializer::reclaim(&instance.store, &fields, cancel).await?;
    for field in fields {
        instance.registry.reclaimed(field).await?;
    }
    Ok(())
}
