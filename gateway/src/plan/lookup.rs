//! Which keys a request must bring, which cells are read for it, and where each feature lies in them.
//!
//! Views on one key set under one mapping of columns share a key: an entity is asked for once, all its cells together.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use tidegate_catalog::{
    ErrorCode, FeatureType, FieldNumber, KeySetNumber,
    definitions::{DefaultValue, KeyType, ServiceFeature},
};

use super::{View, Views};

/// A compiled choice of features.
#[derive(Debug, Default)]
pub(crate) struct LookupPlan {
    /// The columns of join keys that the caller may bring, each once, in the order in which features first need them.
    pub(crate) columns: Vec<KeyColumn>,
    /// The distinct entity keys per row.
    pub(crate) groups: Vec<KeyGroup>,
    /// The cells per row, group by group.
    pub(crate) cells: Vec<Cell>,
    /// The features in the order in which they were asked for.
    pub(crate) features: Vec<PlannedFeature>,
}

/// A column of entity keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    pub(crate) key_type: KeyType,
    /// Whether a cell that is read needs it; the others may be sent and are passed over.
    pub(crate) needed: bool,
}

/// One entity key per row.
#[derive(Debug)]
pub(crate) struct KeyGroup {
    pub(crate) key_set: KeySetNumber,
    /// Indices into [`LookupPlan::columns`], in join-key-name order.
    pub(crate) parts: Vec<usize>,
    /// Its cells in [`LookupPlan::cells`].
    pub(crate) cells: Range<usize>,
    /// Their field numbers, as the store is asked for them.
    pub(crate) fields: Vec<FieldNumber>,
}

/// One cell per row: the serving generation of a view.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) group: usize,
    pub(crate) field: FieldNumber,
    pub(crate) view: Arc<View>,
}

/// One feature.
#[derive(Debug)]
pub(crate) struct PlannedFeature {
    /// `alias:feature`
    pub(crate) reference: String,
    /// `alias__feature`
    pub(crate) column: String,
    /// `feature`
    pub(crate) name: String,
    pub(crate) feature_type: FeatureType,
    pub(crate) default: Option<DefaultValue>,
    /// Where its value lies; `None` where no generation holds it, or the plan does not read it.
    pub(crate) place: Option<Place>,
}

/// A feature's place among a row's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into [`LookupPlan::cells`].
    pub(crate) cell: usize,
    /// Its index in that cell's row.
    pub(crate) index: usize,
}

/// One feature to look up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) view: &'a str,
    pub(crate) alias: &'a str,
    pub(crate) feature: &'a str,
    /// View join key -> the caller's column, where they differ.
    pub(crate) join_keys: Option<&'a BTreeMap<String, String>>,
    pub(crate) read: Read,
}

/// Whether a feature's cell is read, or its place only kept in the plan's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Yes,
    No,
}

/// A choice of features that this snapshot cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("feature view {view:?} is not in catalog version {version}")]
    UnknownView { view: String, version: u64 },
    #[error("feature view {view:?} has no feature {feature:?} in catalog version {version}")]
    UnknownFeature { view: String, feature: String, version: u64 },
    #[error("column {column:?} would have to be both {one} and {other}: map one of them with join_keys")]
    KeyTypes { column: String, one: &'static str, other: &'static str },
}

impl PlanError {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownView { .. } | Self::UnknownFeature { .. } => ErrorCode::NotFound,
            Self::KeyTypes { .. } => ErrorCode::InvalidArgument,
        }
    }
}

impl<'a> Wanted<'a> {
    /// A feature of a service.
    pub(crate) fn of_service(feature: &'a ServiceFeature, read: Read) -> Self {
        let join_keys = Some(&feature.join_keys).filter(|mapped| !mapped.is_empty());
        Self { view: &feature.view, alias: &feature.alias, feature: &feature.feature, join_keys, read }
    }

    fn column_of(&self, join_key: &'a str) -> &'a str {
        self.join_keys.and_then(|mapped| mapped.get(join_key)).map_or(join_key, String::as_str)
    }
}

impl LookupPlan {
    /// Compiles `wanted` over the views of catalog version `version`.
    /// # Errors
    /// [`PlanError`] for names that are not there and columns that would need two types.
    pub(crate) fn compile<'a>(
        wanted: impl IntoIterator<Item = Wanted<'a>>,
        views: &Views,
        version: u64,
    ) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        for wanted in wanted {
            let view =
                views.find(wanted.view).ok_or_else(|| PlanError::UnknownView { view: cut(wanted.view), version })?;
            let feature = view.features.iter().find(|feature| feature.name == wanted.feature).ok_or_else(|| {
                PlanError::UnknownFeature { view: cut(wanted.view), feature: cut(wanted.feature), version }
            })?;
            let parts = plan.key_columns(&wanted, view)?;
            let place = match (feature.place, wanted.read) {
                (Some(index), Read::Yes) => plan.cell(view, parts).map(|cell| Place { cell, index }),
                _ => None,
            };
            plan.features.push(PlannedFeature {
                reference: format!("{}:{}", wanted.alias, wanted.feature),
                column: format!("{}__{}", wanted.alias, wanted.feature),
                name: feature.name.clone(),
                feature_type: feature.feature_type,
                default: feature.default.clone(),
                place,
            });
        }
        plan.group_cells();
        Ok(plan)
    }

    /// The index of a view's cell under these key parts, taken up if it is new.
    fn cell(&mut self, view: &Arc<View>, parts: Vec<usize>) -> Option<usize> {
        let (key_set, field) = view.serving.as_ref().map(|serving| (serving.key_set, serving.field))?;
        let same = |group: &KeyGroup| group.key_set == key_set && group.parts == parts;
        let group = self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(KeyGroup { key_set, parts, cells: 0..0, fields: Vec::new() });
            self.groups.len() - 1
        });
        let known = self.cells.iter().position(|cell| cell.group == group && Arc::ptr_eq(&cell.view, view));
        Some(known.unwrap_or_else(|| {
            self.cells.push(Cell { group, field, view: Arc::clone(view) });
            self.cells.len() - 1
        }))
    }

    /// The caller's columns of the view's join keys, in join-key order, taken up where new.
    fn key_columns(&mut self, wanted: &Wanted<'_>, view: &View) -> Result<Vec<usize>, PlanError> {
        let mut parts = Vec::with_capacity(view.join_keys.len());
        for key in &view.join_keys {
            let name = wanted.column_of(&key.name);
            let known = self.columns.iter().position(|column| column.name == name);
            let at = known.unwrap_or_else(|| {
                self.columns.push(KeyColumn { name: name.to_owned(), key_type: key.key_type, needed: false });
                self.columns.len() - 1
            });
            if let Some(column) = self.columns.get_mut(at) {
                column.needed |= wanted.read == Read::Yes;
                column.key_type = one_type(column.key_type, key.key_type).ok_or_else(|| PlanError::KeyTypes {
                    column: name.to_owned(),
                    one: column.key_type.scalar().name(),
                    other: key.key_type.scalar().name(),
                })?;
            }
            parts.push(at);
        }
        Ok(parts)
    }

    /// Brings each group's cells side by side: a store then reads one entity in one go.
    fn group_cells(&mut self) {
        let mut order = (0..self.cells.len()).collect::<Vec<_>>();
        order.sort_by_key(|&cell| self.cells.get(cell).map(|cell| cell.group));
        for place in self.features.iter_mut().filter_map(|feature| feature.place.as_mut()) {
            place.cell = order.iter().position(|&cell| cell == place.cell).unwrap_or(place.cell);
        }
        self.cells.sort_by_key(|cell| cell.group);
        for (index, group) in self.groups.iter_mut().enumerate() {
            let start = self.cells.partition_point(|cell| cell.group < index);
            let end = self.cells.partition_point(|cell| cell.group <= index);
            group.cells = start..end;
            let cells = self.cells.get(start..end).unwrap_or(&[]);
            group.fields = cells.iter().map(|cell| cell.field).collect();
        }
    }
}

/// int32 and int64 keys have one encoding, so a column may serve both; it is then read as the wider.
fn one_type(one: KeyType, other: KeyType) -> Option<KeyType> {
    match (one, other) {
        _ if one == other => Some(one),
        (KeyType::Int32, KeyType::Int64) | (KeyType::Int64, KeyType::Int32) => Some(KeyType::Int64),
        _ => None,
    }
}

fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
