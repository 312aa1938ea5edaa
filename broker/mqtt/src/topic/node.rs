//! One level of a topic tree.
//!
//! Most nodes are leaves or have one child, a few have a million (`devices/<id>`): children are a
//! small vector first and a hash map when they are many, and a leaf is its value and one null
//! pointer. Recursion goes one step per level, so it is bounded by the longest path that was ever
//! inserted, and the trees take only valid names and filters: at most `LEVELS_MAX`.

use rustc_hash::FxHashMap;

/// From this number of literal children on, a hash map is quicker than comparing them all.
const FEW_MAX: usize = 8;

#[derive(Debug, Clone)]
pub(super) struct Node<V> {
    pub(super) value: Option<V>,
    pub(super) children: Option<Box<Children<V>>>,
}

#[derive(Debug, Clone)]
pub(super) struct Children<V> {
    /// The child `+` of a filter tree.
    pub(super) single_level: Option<Box<Node<V>>>,
    /// The child `#` of a filter tree; always a leaf.
    pub(super) multi_level: Option<Box<Node<V>>>,
    pub(super) literal: Literals<V>,
}

#[derive(Debug, Clone)]
pub(super) enum Literals<V> {
    Few(Vec<(Box<str>, Node<V>)>),
    Many(FxHashMap<Box<str>, Node<V>>),
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self {
            value: None,
            children: None,
        }
    }
}

impl<V> Default for Children<V> {
    fn default() -> Self {
        Self {
            single_level: None,
            multi_level: None,
            literal: Literals::Few(Vec::new()),
        }
    }
}

impl<V> Node<V> {
    pub(super) fn is_empty(&self) -> bool {
        self.value.is_none() && self.children.is_none()
    }

    pub(super) fn get(&self, path: &str) -> Option<&V> {
        let mut node = self;
        for level in path.split('/') {
            node = node.children.as_deref()?.child(level)?;
        }
        node.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut V> {
        let mut node = self;
        for level in path.split('/') {
            node = node.children.as_deref_mut()?.child_mut(level)?;
        }
        node.value.as_mut()
    }

    /// The value's place at the end of `path`; nodes on the way are made as needed.
    pub(super) fn place(&mut self, path: &str) -> &mut Option<V> {
        let mut node = self;
        for level in path.split('/') {
            node = node.children.get_or_insert_default().child_or_insert(level);
        }
        &mut node.value
    }

    /// Takes the value at the end of `path` and every node on the way that nothing needs any more.
    pub(super) fn remove(&mut self, path: &str) -> Option<V> {
        let (level, rest) = split_level(path);
        let children = self.children.as_deref_mut()?;
        let child = children.child_mut(level)?;
        let value = match rest {
            Some(rest) => child.remove(rest),
            None => child.value.take(),
        };
        if child.is_empty() {
            children.remove_child(level);
            if children.is_empty() {
                self.children = None;
            }
        }
        value
    }

    /// Every value below this node and in it, in no particular order.
    pub(super) fn visit_all<'a>(&'a self, visit: &mut impl FnMut(&'a V)) {
        self.value.iter().for_each(&mut *visit);
        let Some(children) = &self.children else {
            return;
        };
        children
            .single_level
            .iter()
            .for_each(|node| node.visit_all(visit));
        children
            .multi_level
            .iter()
            .for_each(|node| node.visit_all(visit));
        children.literal.for_each(|_, node| node.visit_all(visit));
    }
}

impl<V> Children<V> {
    fn child(&self, level: &str) -> Option<&Node<V>> {
        match level {
            "+" => self.single_level.as_deref(),
            "#" => self.multi_level.as_deref(),
            _ => self.literal.get(level),
        }
    }

    fn child_mut(&mut self, level: &str) -> Option<&mut Node<V>> {
        match level {
            "+" => self.single_level.as_deref_mut(),
            "#" => self.multi_level.as_deref_mut(),
            _ => self.literal.get_mut(level),
        }
    }

    fn child_or_insert(&mut self, level: &str) -> &mut Node<V> {
        match level {
            "+" => self.single_level.get_or_insert_default(),
            "#" => self.multi_level.get_or_insert_default(),
            _ => self.literal.get_or_insert(level),
        }
    }

    fn remove_child(&mut self, level: &str) {
        match level {
            "+" => self.single_level = None,
            "#" => self.multi_level = None,
            _ => self.literal.remove(level),
        }
    }

    fn is_empty(&self) -> bool {
        self.single_level.is_none() && self.multi_level.is_none() && self.literal.is_empty()
    }
}

impl<V> Literals<V> {
    pub(super) fn get(&self, level: &str) -> Option<&Node<V>> {
        match self {
            Self::Few(few) => few
                .iter()
                .find(|(name, _)| **name == *level)
                .map(|(_, node)| node),
            Self::Many(many) => many.get(level),
        }
    }

    fn get_mut(&mut self, level: &str) -> Option<&mut Node<V>> {
        match self {
            Self::Few(few) => few
                .iter_mut()
                .find(|(name, _)| **name == *level)
                .map(|(_, node)| node),
            Self::Many(many) => many.get_mut(level),
        }
    }

    fn get_or_insert(&mut self, level: &str) -> &mut Node<V> {
        if let Self::Few(few) = self
            && few.len() >= FEW_MAX
            && few.iter().all(|(name, _)| **name != *level)
        {
            *self = Self::Many(few.drain(..).collect());
        }
        match self {
            Self::Few(few) => get_or_push(few, level),
            Self::Many(many) => many.entry(level.into()).or_default(),
        }
    }

    /// Does not turn a shrunken map back into a vector at once: a level whose children come and go
    /// around the border would be rebuilt each time.
    fn remove(&mut self, level: &str) {
        match self {
            Self::Few(few) => {
                if let Some(at) = few.iter().position(|(name, _)| **name == *level) {
                    few.swap_remove(at);
                }
            }
            Self::Many(many) => {
                many.remove(level);
                if many.len() <= FEW_MAX / 4 {
                    *self = Self::Few(many.drain().collect());
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a str, &'a Node<V>)) {
        match self {
            Self::Few(few) => few.iter().for_each(|(level, node)| visit(level, node)),
            Self::Many(many) => many.iter().for_each(|(level, node)| visit(level, node)),
        }
    }
}

fn get_or_push<'a, V>(few: &'a mut Vec<(Box<str>, Node<V>)>, level: &str) -> &'a mut Node<V> {
    let at = few
        .iter()
        .position(|(name, _)| **name == *level)
        .unwrap_or_else(|| {
            // Exact while there is one child: most nodes never get a second.
            if few.len() == few.capacity() {
                few.reserve_exact(few.len().max(1));
            }
            few.push((level.into(), Node::default()));
            few.len() - 1
        });
    &mut few[at].1
}

/// The first level and, if there is one, what follows its slash.
pub(super) fn split_level(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (path, None),
    }
}
