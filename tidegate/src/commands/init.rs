//! `init`: writes a small project that works, data included.

use std::{fs, path::Path, sync::Arc};

use arrow_array::{Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use tidegate_catalog::{Micros, yaml};

use super::{
    catalog::{Done, Failure},
    exit,
};
use crate::output::Printer;

const ROOT: &str = include_str!("template/tidegate.yaml");
const DEFINITIONS: &str = include_str!("template/definitions.yaml");

/// `tidegate init`
/// # Errors
/// When the folder holds a project already, or cannot be written.
pub async fn init(folder: &Path, printer: &Printer) -> Done {
    if folder.join("tidegate.yaml").exists() {
        return Err(Failure::new(format!("{} holds a project already", folder.display())));
    }
    let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| yaml::name_refusal(name).is_none());
    let name = name.unwrap_or("shop");
    let write = |name: &str, text: &[u8]| {
        fs::write(folder.join(name), text)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.join(name).display())))
    };
    fs::create_dir_all(folder.join("data")).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    write("tidegate.yaml", ROOT.replace("PROJECT", name).as_bytes())?;
    write("definitions.yaml", DEFINITIONS.as_bytes())?;
    write(".gitignore", b".tidegate/\n")?;
    write("data/orders.parquet", &tidegate_offline::parquet_bytes(&orders())?)?;
    let place = folder.display();
    printer
        .out(format!(
            "wrote a project to {place}; now:\n  cd {place}\n  tidegate apply\n  tidegate materialize\n  tidegate features get customer_orders:orders --entities '{{\"customer\": [\"ann\", \"bob\"]}}'\n  tidegate serve"
        ))
        .await;
    Ok(exit::DONE)
}

/// A few orders of three customers.
fn orders() -> RecordBatch {
    let customers = ["ann", "bob", "ann", "cy", "ann", "bob"];
    let at = |day: i64| Micros(1_767_225_600_000_000 + day * 86_400_000_000).0;
    let times = TimestampMicrosecondArray::from_iter_values((0..6).map(at)).with_timezone("UTC");
    let amounts = Float32Array::from(vec![20.0, 7.5, 12.25, 99.0, 3.0, 41.0]);
    RecordBatch::try_from_iter([
        ("order_id", Arc::new(Int64Array::from_iter_values(1..7)) as _),
        ("customer", Arc::new(StringArray::from(customers.to_vec())) as _),
        ("ordered_at", Arc::new(times) as _),
        ("amount", Arc::new(amounts) as _),
    ])
    .expect("the columns have one length")
}
