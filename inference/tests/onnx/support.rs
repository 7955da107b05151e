//! What the tests against the real ONNX Runtime share: the library, the models, a started handle, a clock.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidegate_catalog::{
    CallContext, Clock, Deadline, FeatureType, Micros, Monotonic, Principal, Priority, ScalarType, clock::ManualClock,
};
use tidegate_inference::{
    Column, ModelConfig, ModelError, ModelFile, ModelHandle, Runtime, Slot, find_library, fit, library_candidates,
};

/// Most bytes of a test's model.
const LIMIT_BYTES: u64 = 1 << 20;

/// The library that `make deps` installs, or the one that `ORT_DYLIB_PATH` names.
pub(crate) fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    find_library(&library_candidates(&root)).unwrap_or_else(|error| panic!("run `make deps` first: {error}"))
}

/// The process's one runtime.
pub(crate) fn runtime() -> Runtime {
    Runtime::load(&library()).unwrap_or_else(|error| panic!("run `make deps` first: {error}"))
}

/// The committed model `name`.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name).with_extension("onnx")
}

/// The committed model `name`, opened.
pub(crate) fn open(name: &str) -> Result<ModelFile, ModelError> {
    ModelFile::open(&runtime(), &file(name), LIMIT_BYTES)
}

/// Columns `c0`, `c1`, ... of float32.
pub(crate) fn float_columns(count: usize) -> Vec<Column<'static>> {
    let feature_type = FeatureType::Scalar(ScalarType::Float32);
    ["c0", "c1", "c2", "c3"].into_iter().take(count).map(|name| Column { name, feature_type }).collect()
}

/// A call with an hour of time.
pub(crate) fn call() -> CallContext {
    CallContext {
        request_id: "test".into(),
        principal: Principal::Local,
        deadline: Deadline::after(Monotonic::default(), Duration::from_secs(3600)),
        priority: Priority::Normal,
        trace: None,
    }
}

/// The model started for `columns` with one replica, or why not.
pub(crate) async fn try_handle(
    model: &ModelFile,
    columns: &[Column<'_>],
    max_batch_size: usize,
) -> Result<ModelHandle, ModelError> {
    start(model, columns, (1, max_batch_size)).await
}

/// The model started for `columns` with one replica, and the slot of each column.
pub(crate) async fn handle(
    model: &ModelFile,
    columns: &[Column<'_>],
    max_batch_size: usize,
) -> (ModelHandle, Vec<Slot>) {
    with_slots(start(model, columns, (1, max_batch_size)).await, columns)
}

/// The model started for `columns` with `replicas` replicas, and the slot of each column.
pub(crate) async fn replicated(model: &ModelFile, columns: &[Column<'_>], replicas: usize) -> (ModelHandle, Vec<Slot>) {
    with_slots(start(model, columns, (replicas, 8)).await, columns)
}

fn with_slots(started: Result<ModelHandle, ModelError>, columns: &[Column<'_>]) -> (ModelHandle, Vec<Slot>) {
    let handle = started.unwrap();
    let slots = (0..columns.len()).map(|column| handle.plan().slot(column).unwrap()).collect();
    (handle, slots)
}

async fn start(
    model: &ModelFile,
    columns: &[Column<'_>],
    (replicas, max_batch_size): (usize, usize),
) -> Result<ModelHandle, ModelError> {
    let plan = fit(model.signature(), columns).unwrap();
    let number = |number| NonZeroUsize::new(number).unwrap();
    let config =
        ModelConfig { replicas: number(replicas), max_batch_size: number(max_batch_size), queue_requests: number(256) };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Micros(0)));
    ModelHandle::start(model, &plan, config, clock).await
}
