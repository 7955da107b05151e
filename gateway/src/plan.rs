//! Compiled plans: what a snapshot's names become when it is loaded. A request indexes and never looks a name up again.

pub(crate) mod endpoint;
pub(crate) mod gather;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod views;

pub(crate) use endpoint::EndpointPlan;
pub(crate) use gather::GatherPlan;
pub(crate) use list::{ListPlan, ListPlans};
pub(crate) use lookup::{LookupPlan, PlanError, Wanted};
pub(crate) use views::{View, Views};
