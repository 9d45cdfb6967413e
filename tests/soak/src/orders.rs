//! Every possible order of a few events.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{harness::Harness, history::History, steps::Change};

/// Something that arrives.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// An event, by number.
    Event(usize),
    /// A page load by a user, after this many changes.
    Page {
        user: usize,
        changes: usize,
        /// How many of the next arrivals come after it has read the user from Clerk, and before it
        /// writes.
        meanwhile: usize,
    },
    /// The user's row is deleted from the app's table.
    RowLost(usize),
}

/// What happens in Clerk, and how many users may load a page.
struct Scenario {
    name: &'static str,
    changes: &'static [Change],
    /// For each event, how many changes are made before it is sent.
    events: &'static [usize],
    visitors: usize,
    what_else: WhatElse,
}

/// What else each order is played with.
#[derive(Clone, Copy, PartialEq)]
enum WhatElse {
    Nothing,
    /// The page load may write later than it reads, with some of the events between.
    LateWrite,
    /// The row is lost, at every position.
    LostRow,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "created, updated, updated in the same millisecond, deleted",
        changes: &[
            Change::SignUp,
            Change::Rename(0),
            Change::RenameAgain(0),
            Change::Delete(0),
        ],
        events: &[1, 2, 3, 4],
        visitors: 1,
        what_else: WhatElse::LateWrite,
    },
    Scenario {
        name: "created, updated, updated in the same millisecond",
        changes: &[Change::SignUp, Change::Rename(0), Change::RenameAgain(0)],
        events: &[1, 2, 3],
        visitors: 1,
        what_else: WhatElse::LateWrite,
    },
    Scenario {
        name: "created, updated, updated in the same millisecond, and the row is lost",
        changes: &[Change::SignUp, Change::Rename(0), Change::RenameAgain(0)],
        events: &[1, 2, 3],
        visitors: 1,
        what_else: WhatElse::LostRow,
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
        what_else: WhatElse::Nothing,
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
                        // With duplicates there are orders enough.
                        let late = self.what_else == WhatElse::LateWrite && copies == 1;
                        let latest = if late { events.len() - position } else { 0 };
                        for meanwhile in 0..=latest {
                            let mut order: Vec<_> =
                                events.iter().copied().map(Arrival::Event).collect();
                            let page = Arrival::Page {
                                user,
                                changes,
                                meanwhile,
                            };
                            order.insert(position, page);
                            self.with_what_else(order, &mut orders);
                        }
                    }
                }
            }
            if !next_permutation(&mut events) {
                return orders;
            }
        }
    }

    fn with_what_else(&self, order: Vec<Arrival>, orders: &mut Vec<Vec<Arrival>>) {
        if self.what_else != WhatElse::LostRow {
            orders.push(order);
            return;
        }
        for position in 1..=order.len() {
            let mut order = order.clone();
            order.insert(position, Arrival::RowLost(0));
            orders.push(order);
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
        let mut made = 0;
        let mut order = order.iter();
        while let Some(arrival) = order.next() {
            self.change(&mut history, &mut made, *arrival)?;
            match *arrival {
                Arrival::Event(event) => history.deliver(event).await?,
                Arrival::Page {
                    user, meanwhile: 0, ..
                } => history.load_page(user).await?,
                Arrival::Page {
                    user, meanwhile, ..
                } => {
                    let others: Vec<_> = order.by_ref().take(meanwhile).copied().collect();
                    let deliver_others = async |history: &mut History<'_>| {
                        for other in others {
                            self.change(history, &mut made, other)?;
                            if let Arrival::Event(event) = other {
                                history.deliver(event).await?;
                            }
                            history.check().await?;
                        }
                        Ok(())
                    };
                    history.load_page_meanwhile(user, deliver_others).await?;
                }
                Arrival::RowLost(user) => history.lose_row(user).await?,
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

    /// Makes the changes in Clerk that come before an arrival.
    fn change(&self, history: &mut History<'_>, made: &mut usize, arrival: Arrival) -> Result<()> {
        let needed = match arrival {
            Arrival::Event(event) => self.events[event],
            Arrival::Page { changes, .. } => changes,
            Arrival::RowLost(_) => 0,
        };
        while *made < needed {
            history.change(&self.changes[*made])?;
            *made += 1;
        }
        Ok(())
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
