//! Every order of a few events, none left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{history::Change, play::History, stage::Stage};

/// One thing that arrives: an event by number, or a user who opens a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Event(usize),
    Page { user: usize },
}

/// A plot: what happens in Clerk, and how many may open a page.
struct Plot {
    name: &'static str,
    changes: &'static [Change],
    visitors: usize,
}

const PLOTS: [Plot; 3] = [
    Plot {
        name: "created, updated, updated in the same millisecond, deleted",
        changes: &[Change::SignUp, Change::RenameTwice(0), Change::Delete(0)],
        visitors: 1,
    },
    Plot {
        name: "created, updated, updated in the same millisecond",
        changes: &[Change::SignUp, Change::RenameTwice(0)],
        visitors: 1,
    },
    Plot {
        name: "two users, and an e-mail address handed from one to the other",
        changes: &[
            Change::SignUp,
            Change::SignUp,
            Change::HandOver { from: 0, to: 1 },
        ],
        visitors: 2,
    },
];

/// Plays every order in which the events of each plot can arrive, with one page load at every
/// place, and returns how many there were by plot. With `duplicates` each event of a plot about one
/// user arrives twice.
pub async fn run(stage: &Stage, duplicates: bool) -> Result<BTreeMap<&'static str, usize>> {
    let mut tried = BTreeMap::new();
    for plot in &PLOTS {
        let copies = if duplicates && plot.visitors == 1 {
            2
        } else {
            1
        };
        let orders = plot.orders(stage, copies)?;
        let plays = orders.iter().map(|order| async move {
            let told = || format!("{}, in the order {order:?}", plot.name);
            plot.play(stage, order).await.with_context(told)
        });
        stream::iter(plays)
            .buffer_unordered(32)
            .try_collect::<Vec<()>>()
            .await?;
        tried.insert(plot.name, orders.len());
    }
    Ok(tried)
}

impl Plot {
    fn orders(&self, stage: &Stage, copies: usize) -> Result<Vec<Vec<Arrival>>> {
        let events = self.begin(stage)?.events.len();
        let mut arrivals: Vec<_> = (0..events)
            .flat_map(|event| vec![Arrival::Event(event); copies])
            .collect();
        let mut orders = Vec::new();
        loop {
            for user in 0..self.visitors {
                for place in 0..=arrivals.len() {
                    let mut order = arrivals.clone();
                    order.insert(place, Arrival::Page { user });
                    orders.push(order);
                }
            }
            if !next_permutation(&mut arrivals) {
                return Ok(orders);
            }
        }
    }

    fn begin<'a>(&self, stage: &'a Stage) -> Result<History<'a>> {
        let mut history = History::new(stage);
        for change in self.changes {
            history.change(change)?;
        }
        Ok(history)
    }

    async fn play(&self, stage: &Stage, order: &[Arrival]) -> Result<()> {
        let mut history = self.begin(stage)?;
        for arrival in order {
            match *arrival {
                Arrival::Event(event) => history.deliver(event).await?,
                Arrival::Page { user } => drop(history.load_page(user).await?),
            }
            history.check().await?;
        }
        // Two events of one millisecond leave a doubt, which the next page load ends.
        for user in 0..history.users.len() {
            if history.users[user].is_ambiguous() && !history.users[user].is_deleted {
                let status = history.load_page(user).await?;
                ensure!(status == 200, "the page load was answered {status}");
            }
        }
        history.check().await?;
        history.is_as_in_clerk().await
    }
}

/// The next order of these, the sorted one being the first; false after the last.
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
    fn every_order_of_equal_and_other_items_comes_once() {
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
