//! What can be known of sources and views without running them: schemas, planned outputs, what is volatile, what depends
//! on the order of rows.

use std::collections::BTreeMap;

use arrow_schema::Schema;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{
        Expr, LogicalPlan, Volatility, WindowFunctionDefinition,
        expr::{AggregateFunction, WindowFunction},
    },
};
use tidegate_catalog::Definitions;

use crate::{Engine, Error};

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
                let findings = Findings::of(planned.frame.logical_plan());
                PlannedQuery { schema, volatile: findings.volatile, order_warnings: findings.order }
            });
            facts.views.insert(name.clone(), planned);
        }
        facts
    }
}

#[derive(Default)]
struct Findings {
    volatile: Vec<String>,
    order: Vec<String>,
}

impl Findings {
    fn of(plan: &LogicalPlan) -> Self {
        let mut findings = Self::default();
        let walked = plan.apply_with_subqueries(|node| {
            findings.look_at_limit(node);
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    findings.look_at(part);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        debug_assert!(walked.is_ok(), "looking at a plan does not fail");
        findings.volatile.sort();
        findings.volatile.dedup();
        findings.order.sort();
        findings.order.dedup();
        findings
    }

    fn look_at(&mut self, expression: &Expr) {
        match expression {
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                // stable functions are the clocks: now(), current_date, current_time
                let name = call.name().to_lowercase();
                if call.func.signature().volatility == Volatility::Volatile || is_clock(&name) {
                    self.volatile.push(name);
                }
            }
            Expr::AggregateFunction(AggregateFunction { func, params }) => {
                let name = func.name().to_lowercase();
                if ORDERED_AGGREGATES.contains(&name.as_str()) && params.order_by.is_empty() {
                    self.order
                        .push(format!("{name}() without ORDER BY depends on the order of rows; add one inside it"));
                }
            }
            Expr::WindowFunction(window) => self.look_at_window(window),
            _ => {}
        }
    }

    fn look_at_window(&mut self, window: &WindowFunction) {
        let name = match &window.fun {
            WindowFunctionDefinition::WindowUDF(function) => function.name().to_lowercase(),
            WindowFunctionDefinition::AggregateUDF(function) => function.name().to_lowercase(),
        };
        let ordered = !window.params.order_by.is_empty();
        if name == "row_number" {
            self.order.push(
                "row_number() over ties depends on the order of rows; order it by columns that are unique together"
                    .to_owned(),
            );
        } else if !ordered && (ORDERED_WINDOWS.contains(&name.as_str()) || ORDERED_AGGREGATES.contains(&name.as_str()))
        {
            self.order.push(format!("{name}() without ORDER BY in its window depends on the order of rows; add one"));
        }
    }

    fn look_at_limit(&mut self, node: &LogicalPlan) {
        let LogicalPlan::Limit(limit) = node else { return };
        let mut below = limit.input.as_ref();
        while let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = below {
            match below.inputs().first() {
                Some(input) => below = input,
                None => return,
            }
        }
        if !matches!(below, LogicalPlan::Sort(_)) {
            self.order.push("LIMIT without ORDER BY keeps rows by chance; order them by unique columns".to_owned());
        }
    }
}

const ORDERED_AGGREGATES: [&str; 5] = ["array_agg", "string_agg", "first_value", "last_value", "nth_value"];
const ORDERED_WINDOWS: [&str; 7] = ["rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lead", "lag"];

fn is_clock(name: &str) -> bool {
    ["now", "current_date", "current_time", "current_timestamp", "today"].contains(&name)
}
