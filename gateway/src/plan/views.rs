//! The views of one snapshot, each with the generation that readers read, compiled once.

use std::{collections::HashMap, sync::Arc};

use tidegate_catalog::{
    FeatureType, FieldNumber, KeySetNumber, RowLayout, Snapshot, Ttl,
    definitions::{DefaultValue, FeatureView, JoinKey},
    row::CellCheck,
};

/// Views by name.
#[derive(Debug, Default)]
pub(crate) struct Views {
    by_name: HashMap<String, Arc<View>>,
}

/// One view, as a reader needs it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    /// Sorted by name: the order of key components.
    pub(crate) join_keys: Vec<JoinKey>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) features: Vec<ViewFeature>,
    /// `None` until its first acknowledged run: everything is NOT_FOUND.
    pub(crate) serving: Option<Serving>,
}

/// One feature of a view.
#[derive(Debug)]
pub(crate) struct ViewFeature {
    pub(crate) name: String,
    pub(crate) feature_type: FeatureType,
    pub(crate) default: Option<DefaultValue>,
    /// Its place in the serving generation's rows; `None` where that generation does not hold it.
    pub(crate) place: Option<usize>,
}

/// The generation that readers read.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) field: FieldNumber,
    pub(crate) key_set: KeySetNumber,
    pub(crate) layout: RowLayout,
    pub(crate) check: CellCheck,
}

impl Views {
    /// Compiles the views of `snapshot`.
    pub(crate) fn compile(snapshot: &Snapshot) -> Self {
        let views = snapshot.definitions.views.iter();
        Self { by_name: views.map(|(name, view)| (name.clone(), Arc::new(View::compile(view, snapshot)))).collect() }
    }

    /// The view of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<View>> {
        self.by_name.get(name)
    }
}

impl View {
    fn compile(view: &FeatureView, snapshot: &Snapshot) -> Self {
        // a generation under other join keys has other entity keys: none of its rows can be read under these
        let generation = snapshot.serving(&view.name).filter(|generation| generation.join_keys == view.join_keys);
        let place = |name: &str, feature_type: FeatureType| {
            let held = &generation?.features;
            held.iter().position(|held| held.name == name && held.feature_type == feature_type)
        };
        let features = view.features.iter().map(|feature| ViewFeature {
            name: feature.name.clone(),
            feature_type: feature.feature_type,
            default: feature.default.clone(),
            place: place(&feature.name, feature.feature_type),
        });
        let serving = generation.map(|generation| {
            let types = generation.features.iter().map(|feature| feature.feature_type).collect::<Vec<_>>();
            let layout = RowLayout::new(&types);
            let check = layout.cell_check(generation.field);
            Serving { field: generation.field, key_set: generation.key_set, layout, check }
        });
        Self {
            name: view.name.clone(),
            join_keys: view.join_keys.clone(),
            ttl: view.ttl,
            features: features.collect(),
            serving,
        }
    }
}
