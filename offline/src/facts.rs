//! What can be known of sources and views without running them: schemas, planned outputs, what is volatile, what depends
//! on the order of rows.

use std::collections::BTreeMap;

use arrow_schema::Schema;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan, Volatility},
};
use tidegate_catalog::Definitions;

use crate::{Engine, Error, order};

/// What is known of a project's sources and views.
#[derive(Debug)]
pub struct OfflineFacts {
    /// Each source's columns, or why it cannot be read.
    pub sources: BTreeMap<String, Result<Schema, Error>>,
    /// Each view's planned query, or why it cannot be planned.
    pub views: BTreeMap<String, Result<PlannedQuery, Error>>,
}

/// A view's query as planned.
#[derive(Clone, Debug)]
pub struct PlannedQuery {
    /// The output columns.
    pub schema: Schema,
    /// Functions whose result is not decided by their arguments: clocks and chance. Sorted.
    pub volatile: Vec<String>,
    /// What depends on the order in which rows come, each in words that say what would settle it.
    pub order_warnings: Vec<String>,
}

impl Engine {
    /// Looks at every source and plans every view; nothing is executed.
    pub async fn describe(&self, definitions: &Definitions) -> OfflineFacts {
        let mut facts = OfflineFacts { sources: BTreeMap::new(), views: BTreeMap::new() };
        for name in definitions.sources.keys() {
            let pinned = self.pin(definitions, &[name]).await;
            let schema = pinned.map(|pinned| pinned.first().map_or_else(Schema::empty, crate::PinnedSource::schema));
            facts.sources.insert(name.clone(), schema);
        }
        for (name, view) in &definitions.views {
            let planned = self.plan(view, definitions).await.map(|planned| {
                let schema = planned.frame.schema().as_arrow().clone();
                let volatile = volatile(planned.frame.logical_plan());
                // what the view does not take cannot show the order of rows
                let taken = planned.selected(view).unwrap_or(planned.frame);
                PlannedQuery { schema, volatile, order_warnings: order::warnings(taken.into_unoptimized_plan()) }
            });
            facts.views.insert(name.clone(), planned);
        }
        facts
    }
}

/// Functions that are not decided by their arguments, sorted. Of the stable ones only the clocks: now(), current_date...
fn volatile(plan: &LogicalPlan) -> Vec<String> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part {
                    let (name, volatility) = (call.name().to_lowercase(), call.func.signature().volatility);
                    if volatility == Volatility::Volatile || (volatility == Volatility::Stable && is_clock(&name)) {
                        found.push(name);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    debug_assert!(walked.is_ok(), "looking at a plan does not fail");
    found.sort();
    found.dedup();
    found
}

fn is_clock(name: &str) -> bool {
    ["now", "current_date", "current_time", "current_timestamp", "today"].contains(&name)
}
