//! What in a query's result depends on the order in which rows come, in words that say what would settle it.
//!
//! An ORDER BY settles a result when no two rows tie in it, or when the rows that tie are alike in every column that is
//! read. The first is known of a GROUP BY's keys and never of a file's columns; for the second, columns that nothing
//! reads are taken out of the plan before it is looked at. What cannot be known is a warning, never an error.

use std::{collections::HashSet, sync::Arc};

use datafusion::{
    common::{
        Column, Dependency,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Distinct, DistinctOn, Expr, Limit, LogicalPlan, SortExpr, WindowFrameUnits, WindowFunctionDefinition,
        expr::{AggregateFunction, WindowFunction},
    },
    optimizer::{OptimizerContext, OptimizerRule, optimize_projections::OptimizeProjections},
};

/// Aggregates whose result shows the order of their rows.
const ORDERED_AGGREGATES: [&str; 6] =
    ["array_agg", "string_agg", "first_value", "last_value", "nth_value", "any_value"];
/// Window functions that number or shift rows: rows that tie are not alike to them. `rank()` and its like are.
const POSITIONS: [&str; 4] = ["row_number", "ntile", "lead", "lag"];
/// Window functions that treat rows alike when they tie.
const PEERS: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];

/// The warnings, sorted, each once.
pub(crate) fn warnings(plan: LogicalPlan) -> Vec<String> {
    let plan = without_unread_columns(plan);
    let mut look = Look::default();
    let walked = plan.apply_with_subqueries(|node| {
        look.at_node(node);
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                look.at_expression(node, part);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    debug_assert!(walked.is_ok(), "looking at a plan does not fail");
    look.found.sort();
    look.found.dedup();
    look.found
}

/// The plan without the columns that nothing reads; the plan as it is where that cannot be done.
fn without_unread_columns(plan: LogicalPlan) -> LogicalPlan {
    // the rule counts on DISTINCT ON having been replaced before
    let distinct_on = plan.exists(|node| Ok(matches!(node, LogicalPlan::Distinct(Distinct::On(_)))));
    if distinct_on.unwrap_or(true) {
        return plan;
    }
    let pruned = OptimizeProjections::new().rewrite(plan.clone(), &OptimizerContext::new());
    pruned.map_or(plan, |pruned| pruned.data)
}

#[derive(Default)]
struct Look {
    found: Vec<String>,
    /// The roots of EXISTS subqueries: which row is there does not matter to them.
    exists: Vec<*const LogicalPlan>,
}

impl Look {
    fn at_node(&mut self, node: &LogicalPlan) {
        match node {
            LogicalPlan::Limit(limit) if !self.exists.contains(&std::ptr::from_ref(node)) => self.at_limit(limit),
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.at_distinct_on(distinct),
            _ => {}
        }
    }

    fn at_limit(&mut self, limit: &Limit) {
        let mut below = limit.input.as_ref();
        while let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = below {
            match below.inputs().first() {
                Some(input) => below = input,
                None => return,
            }
        }
        match below {
            LogicalPlan::Sort(sort) if settled(&sort.input, sort.expr.iter().map(|by| &by.expr)) => {}
            LogicalPlan::Sort(sort) => self.found.push(format!(
                "LIMIT keeps rows that tie in {} by chance; add columns to its ORDER BY until no rows tie",
                names(sort.expr.iter().map(|by| &by.expr))
            )),
            // an aggregate without groups is one row
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {}
            LogicalPlan::EmptyRelation(_) => {}
            _ => self.found.push(
                "LIMIT without ORDER BY keeps rows by chance; order them by columns that are unique together"
                    .to_owned(),
            ),
        }
    }

    fn at_distinct_on(&mut self, distinct: &DistinctOn) {
        let sorted = distinct.sort_expr.iter().flatten().map(|by| &by.expr);
        let by = distinct.on_expr.iter().chain(sorted).collect::<Vec<_>>();
        if settled(&distinct.input, by.iter().copied()) || covers(&by, &distinct.select_expr) {
            return;
        }
        let on = names(distinct.on_expr.iter());
        self.found.push(match &distinct.sort_expr {
            Some(_) => {
                let mut tied = by;
                let mut seen = HashSet::new();
                tied.retain(|part| seen.insert(*part));
                format!(
                    "DISTINCT ON ({on}) keeps one of the rows that tie in {} by chance; add columns to its ORDER BY until no rows tie",
                    names(tied)
                )
            }
            None => format!(
                "DISTINCT ON ({on}) without ORDER BY keeps a row by chance; order them by columns that are unique together"
            ),
        });
    }

    fn at_expression(&mut self, node: &LogicalPlan, part: &Expr) {
        match part {
            Expr::Exists(exists) => self.exists.push(Arc::as_ptr(&exists.subquery.subquery)),
            Expr::AggregateFunction(call) => self.at_aggregate(node, call),
            Expr::WindowFunction(call) => self.at_window(node, call),
            _ => {}
        }
    }

    fn at_aggregate(&mut self, node: &LogicalPlan, AggregateFunction { func, params }: &AggregateFunction) {
        let name = func.name().to_lowercase();
        let LogicalPlan::Aggregate(aggregate) = node else { return };
        if !ORDERED_AGGREGATES.contains(&name.as_str()) {
            return;
        }
        // inside a group, what it is grouped by is the same in every row
        let by = params.order_by.iter().map(|by| &by.expr).chain(&aggregate.group_expr).collect::<Vec<_>>();
        if covers(&by, &params.args) || settled(&aggregate.input, by.iter().copied()) {
            return;
        }
        self.found.push(if params.order_by.is_empty() {
            format!("{name}() without ORDER BY depends on the order of rows; add one inside it")
        } else {
            ties(&format!("{name}()"), &params.order_by)
        });
    }

    fn at_window(&mut self, node: &LogicalPlan, WindowFunction { fun, params }: &WindowFunction) {
        let name = match fun {
            WindowFunctionDefinition::WindowUDF(function) => function.name().to_lowercase(),
            WindowFunctionDefinition::AggregateUDF(function) => function.name().to_lowercase(),
        };
        let LogicalPlan::Window(window) = node else { return };
        let frame = &params.window_frame;
        let whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
        let counts_rows = frame.units == WindowFrameUnits::Rows && !whole;
        let (position, ordered) = (POSITIONS.contains(&name.as_str()), ORDERED_AGGREGATES.contains(&name.as_str()));
        if PEERS.contains(&name.as_str()) || !(position || ordered || counts_rows) {
            return;
        }
        let by = params.order_by.iter().map(|by| &by.expr).chain(&params.partition_by).collect::<Vec<_>>();
        let alike = ordered && !counts_rows && covers(&by, &params.args);
        // windows beside this one add columns, and no rows
        let mut input = window.input.as_ref();
        while let LogicalPlan::Window(beside) = input {
            input = &beside.input;
        }
        if alike || settled(input, by.iter().copied()) {
            return;
        }
        let what = if position || ordered { format!("{name}()") } else { format!("{name}() over a ROWS frame") };
        self.found.push(if params.order_by.is_empty() {
            format!("{what} without ORDER BY in its window depends on the order of rows; add one")
        } else {
            ties(&what, &params.order_by)
        });
    }
}

fn ties(what: &str, order: &[SortExpr]) -> String {
    let tied = names(order.iter().map(|by| &by.expr));
    format!("{what} depends on the order of rows that tie in {tied}; add columns to its ORDER BY until no rows tie")
}

/// Whether no two rows of `input` tie in `by`, or those that do are alike in every column.
fn settled<'e>(input: &LogicalPlan, by: impl Iterator<Item = &'e Expr>) -> bool {
    let schema = input.schema();
    let ordered = by.filter_map(column).filter_map(|column| schema.maybe_index_of_column(column));
    let ordered = ordered.collect::<HashSet<_>>();
    let count = schema.fields().len();
    let keys = schema.functional_dependencies().iter();
    let mut keys = keys.filter(|key| key.mode == Dependency::Single && key.target_indices.len() == count);
    ordered.len() == count || keys.any(|key| key.source_indices.iter().all(|index| ordered.contains(index)))
}

/// Whether every column that `shown` reads is one of `by`.
fn covers(by: &[&Expr], shown: &[Expr]) -> bool {
    let by = by.iter().filter_map(|by| column(by)).collect::<HashSet<_>>();
    shown.iter().flat_map(Expr::column_refs).all(|column| by.contains(column))
}

fn column(expression: &Expr) -> Option<&Column> {
    match expression {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column(&alias.expr),
        _ => None,
    }
}

fn names<'e>(expressions: impl IntoIterator<Item = &'e Expr>) -> String {
    let name = |expression: &Expr| column(expression).map_or_else(|| expression.to_string(), |c| c.name.clone());
    expressions.into_iter().map(name).collect::<Vec<_>>().join(", ")
}
