//! Every possible order of a few events.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{harness::Harness, history::History, steps::Change};

/// Something that arrives: an event by number, or a page load by a user after this many changes.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Event(usize),
    Page { user: usize, changes: usize },
}

/// What happens in Clerk, and how many users may load a page.
struct Scenario {
    name: &'static str,
    changes: &'static [Change],
    /// For each event, how many changes are made before it is sent.
    events: &'static [usize],
    visitors: usize,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "created, updated, updated in the same millisecond, deleted",
        changes: &[Change::SignUp, Change::RenameTwice(0), Change::Delete(0)],
        events: &[1, 2, 2, 3],
        visitors: 1,
    },
    Scenario {
        name: "created, updated, updated in the same millisecond",
        changes: &[Change::SignUp, Change::RenameTwice(0)],
        events: &[1, 2, 2],
        visitors: 1,
    },
    Scenario {
        name: "two users, and an e-mail address handed from one to the other",
        changes: &[
            Change::SignUp,
            Change::SignUp,
            Change::HandOver { from: 0, to: 1 },
        ],
        events: &[1, 2, 3, 3],
        visitors: 2,
    },
];

/// Runs every order in which the events of each scenario can arrive, with one page load at every
/// position, which reads each version that Clerk can have at that time. Returns the number of orders
/// by scenario. With `duplicates` each event of a scenario with one user arrives twice.
pub async fn run(harness: &Harness, duplicates: bool) -> Result<BTreeMap<&'static str, usize>> {
    let mut counts = BTreeMap::new();
    for scenario in &SCENARIOS {
        let copies = if duplicates && scenario.visitors == 1 {
            2
        } else {
            1
        };
        let orders = scenario.orders(copies);
        let runs = orders.iter().map(|order| async move {
            let name = || format!("{}, in the order {order:?}", scenario.name);
            scenario.run(harness, order).await.with_context(name)
        });
        stream::iter(runs)
            .buffer_unordered(32)
            .try_collect::<Vec<()>>()
            .await?;
        counts.insert(scenario.name, orders.len());
    }
    harness.finish().await?;
    Ok(counts)
}

impl Scenario {
    fn orders(&self, copies: usize) -> Vec<Vec<Arrival>> {
        let mut events: Vec<_> = (0..self.events.len())
            .flat_map(|event| vec![event; copies])
            .collect();
        let mut orders = Vec::new();
        loop {
            for user in 0..self.visitors {
                for position in 0..=events.len() {
                    for changes in
                        self.changes_before(user, &events[..position])..=self.changes.len()
                    {
                        let mut order: Vec<_> =
                            events.iter().copied().map(Arrival::Event).collect();
                        order.insert(position, Arrival::Page { user, changes });
                        orders.push(order);
                    }
                }
            }
            if !next_permutation(&mut events) {
                return orders;
            }
        }
    }

    /// How many changes are made at least when the user loads a page after these events. Users sign
    /// up one after the other.
    fn changes_before(&self, user: usize, events: &[usize]) -> usize {
        let changes = events.iter().map(|event| self.events[*event]).max();
        changes.unwrap_or_default().max(user + 1)
    }

    async fn run(&self, harness: &Harness, order: &[Arrival]) -> Result<()> {
        let mut history = History::new(harness);
        let mut changes = self.changes.iter();
        for arrival in order {
            let needed = match *arrival {
                Arrival::Event(event) => self.events[event],
                Arrival::Page { changes, .. } => changes,
            };
            let made = self.changes.len() - changes.len();
            for change in changes.by_ref().take(needed.saturating_sub(made)) {
                history.change(change)?;
            }
            match *arrival {
                Arrival::Event(event) => history.deliver(event).await?,
                Arrival::Page { user, .. } => history.load_page(user).await?,
            }
            history.check().await?;
        }
        // After two versions of one millisecond the row is in doubt, so the next page load asks Clerk.
        for user in 0..history.users.len() {
            if history.users[user].is_ambiguous() && !history.users[user].is_deleted {
                history.load_page(user).await?;
            }
        }
        history.check().await?;
        history.check_matches_clerk().await
    }
}

/// Makes the next order of these items, starting from the sorted one. False after the last order.
fn next_permutation<T: Ord>(items: &mut [T]) -> bool {
    let Some(descent) = items.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let larger = items.iter().rposition(|item| *item > items[descent]);
    items.swap(descent, larger.unwrap_or(descent));
    items[descent + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_items_comes_once_although_some_are_equal() {
        let mut items = [1, 1, 2, 2];
        let mut orders = vec![items];
        while next_permutation(&mut items) {
            orders.push(items);
        }
        assert_eq!(
            orders,
            [
                [1, 1, 2, 2],
                [1, 2, 1, 2],
                [1, 2, 2, 1],
                [2, 1, 1, 2],
                [2, 1, 2, 1],
                [2, 2, 1, 1],
            ]
        );
    }
}
