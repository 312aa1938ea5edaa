//! The two topic trees: filters that are looked up by a name, and names that are looked up by a
//! filter.

use super::matching::hidden_from_wildcards;
use super::node::{Children, Node, split_level};
use super::{TopicError, validate_filter, validate_name};

/// A map from topic filters to values that finds every filter that matches a topic name, at a cost
/// that depends on the matching branches and not on the number of filters.
#[derive(Debug, Clone)]
pub struct FilterTree<V> {
    root: Node<V>,
    len: usize,
}

/// A map from topic names to values that finds every name that a topic filter matches (retained
/// messages).
#[derive(Debug, Clone)]
pub struct NameTree<V> {
    root: Node<V>,
    len: usize,
}

macro_rules! map_operations {
    ($tree:ident, $what:literal, $validate:ident) => {
        impl<V> Default for $tree<V> {
            fn default() -> Self {
                Self {
                    root: Node::default(),
                    len: 0,
                }
            }
        }

        impl<V> $tree<V> {
            /// An empty tree.
            pub fn new() -> Self {
                Self::default()
            }

            #[doc = concat!("Number of ", $what, "s with a value.")]
            pub fn len(&self) -> usize {
                self.len
            }

            /// Whether nothing is stored.
            pub fn is_empty(&self) -> bool {
                self.len == 0
            }

            #[doc = concat!("The value stored for exactly this ", $what, ".")]
            pub fn get(&self, path: &str) -> Option<&V> {
                self.root.get(path)
            }

            #[doc = concat!("The value stored for exactly this ", $what, ", to be changed.")]
            pub fn get_mut(&mut self, path: &str) -> Option<&mut V> {
                self.root.get_mut(path)
            }

            #[doc = concat!("The value of this ", $what, "; `make` gives the first one.")]
            ///
            /// # Errors
            #[doc = concat!("The rule that an invalid ", $what, " breaks; nothing is stored then.")]
            pub fn get_mut_or_insert_with(
                &mut self,
                path: &str,
                make: impl FnOnce() -> V,
            ) -> Result<&mut V, TopicError> {
                $validate(path)?;
                let place = self.root.place(path);
                self.len += usize::from(place.is_none());
                Ok(place.get_or_insert_with(make))
            }

            #[doc = concat!("Stores a value for this ", $what, " and returns the one before.")]
            ///
            /// # Errors
            #[doc = concat!("The rule that an invalid ", $what, " breaks; nothing is stored then.")]
            pub fn insert(&mut self, path: &str, value: V) -> Result<Option<V>, TopicError> {
                $validate(path)?;
                let before = self.root.place(path).replace(value);
                self.len += usize::from(before.is_none());
                Ok(before)
            }

            #[doc = concat!("Removes exactly this ", $what, ", and the nodes that only it needed.")]
            pub fn remove(&mut self, path: &str) -> Option<V> {
                let value = self.root.remove(path);
                self.len -= usize::from(value.is_some());
                value
            }

            /// Every value, in no particular order.
            pub fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a V)) {
                self.root.visit_all(&mut visit);
            }

            /// Whether no node is left: pruning leaves nothing behind.
            #[cfg(test)]
            pub(super) fn has_no_nodes(&self) -> bool {
                self.root.is_empty()
            }
        }
    };
}

map_operations!(FilterTree, "topic filter", validate_filter);
map_operations!(NameTree, "topic name", validate_name);

impl<V> FilterTree<V> {
    /// Visits the value of every filter that matches the topic name (as [`super::matches`] says),
    /// in no particular order.
    pub fn for_each_match<'a>(&'a self, name: &str, mut visit: impl FnMut(&'a V)) {
        let Some(children) = &self.root.children else {
            return;
        };
        if hidden_from_wildcards(name) {
            let (level, rest) = split_level(name);
            if let Some(child) = children.literal.get(level) {
                visit_filters(child, rest, &mut visit);
            }
        } else {
            visit_filters_below(children, name, &mut visit);
        }
    }
}

/// `node` stands for the levels taken so far; `rest` are the levels of the name still to come.
fn visit_filters<'a, V>(node: &'a Node<V>, rest: Option<&str>, visit: &mut impl FnMut(&'a V)) {
    match (rest, &node.children) {
        (Some(rest), Some(children)) => visit_filters_below(children, rest, visit),
        (Some(_), None) => {}
        (None, children) => {
            node.value.iter().for_each(&mut *visit);
            // '#' includes its parent level (§4.7.1.2).
            if let Some(children) = children {
                visit_value(&children.multi_level, visit);
            }
        }
    }
}

fn visit_filters_below<'a, V>(
    children: &'a Children<V>,
    rest: &str,
    visit: &mut impl FnMut(&'a V),
) {
    let (level, rest) = split_level(rest);
    visit_value(&children.multi_level, visit);
    if let Some(child) = &children.single_level {
        visit_filters(child, rest, visit);
    }
    if let Some(child) = children.literal.get(level) {
        visit_filters(child, rest, visit);
    }
}

fn visit_value<'a, V>(node: &'a Option<Box<Node<V>>>, visit: &mut impl FnMut(&'a V)) {
    if let Some(value) = node.as_ref().and_then(|node| node.value.as_ref()) {
        visit(value);
    }
}

impl<V> NameTree<V> {
    /// Visits the value of every name that the topic filter matches (as [`super::matches`] says),
    /// in no particular order.
    pub fn for_each_match<'a>(&'a self, filter: &str, mut visit: impl FnMut(&'a V)) {
        let Some(children) = &self.root.children else {
            return;
        };
        let (level, rest) = split_level(filter);
        match level {
            "#" => visit_unhidden(children, |node| node.visit_all(&mut visit)),
            "+" => visit_unhidden(children, |node| visit_names(node, rest, &mut visit)),
            _ => {
                if let Some(node) = children.literal.get(level) {
                    visit_names(node, rest, &mut visit);
                }
            }
        }
    }
}

/// The first levels that a wildcard may stand for [MQTT-4.7.2-1].
fn visit_unhidden<'a, V>(children: &'a Children<V>, mut visit: impl FnMut(&'a Node<V>)) {
    children.literal.for_each(|level, node| {
        if !hidden_from_wildcards(level) {
            visit(node);
        }
    });
}

/// `node` stands for the levels taken so far; `rest` are the levels of the filter still to come.
fn visit_names<'a, V>(node: &'a Node<V>, rest: Option<&str>, visit: &mut impl FnMut(&'a V)) {
    let Some(rest) = rest else {
        node.value.iter().for_each(&mut *visit);
        return;
    };
    let (level, rest) = split_level(rest);
    if level == "#" {
        node.visit_all(visit);
        return;
    }
    let Some(children) = &node.children else {
        return;
    };
    if level == "+" {
        children
            .literal
            .for_each(|_, child| visit_names(child, rest, visit));
    } else if let Some(child) = children.literal.get(level) {
        visit_names(child, rest, visit);
    }
}
