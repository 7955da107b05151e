//! `config check|dump|schema`.

use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{self, Layer},
    output::{Printer, table},
    project::Project,
};

#[derive(Debug, Serialize)]
struct Effective {
    key: String,
    value: Value,
    layer: Layer,
}

/// `tidegate config check`: opening the project has found every problem already.
pub async fn check(printer: &Printer) {
    printer.out("the configuration is fine").await;
}

/// `tidegate config dump`
pub async fn dump(project: &Project, printer: &Printer) {
    let effective = project.layers.effective().into_iter();
    let effective = effective.map(|(key, value, layer)| Effective { key, value, layer }).collect::<Vec<_>>();
    printer
        .result(&effective, |all| {
            let rows = all.iter().map(|one| {
                let layer = serde_json::to_value(one.layer).ok().and_then(|layer| Some(layer.as_str()?.to_owned()));
                [one.key.clone(), one.value.to_string(), layer.unwrap_or_default()]
            });
            table(["key", "value", "from"], rows)
        })
        .await;
}

/// `tidegate config schema`
pub async fn config_schema(printer: &Printer) {
    printer.out(serde_json::to_string_pretty(&config::schema()).expect("a schema has string keys")).await;
}
