//! Where the references of a schema lead, before it is compiled: into the same file, and not so that work multiplies.
//!
//! A validator follows every reference it meets. Two that lead to the same subschema double the work at each level, of the
//! schema or of the value: then a value of a few hundred bytes would take longer than any deadline. The places of a value are
//! followed as an automaton follows letters: a step leads from the subschemas that apply to an object or array to those that
//! apply to one of its members or items.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::findings::pointer_step;

/// How many subschemas may apply to one place of a value. Ordinary schemas have some ten.
const MOST_AT_A_PLACE: u64 = 1_000;

/// A place of a schema that is wrong, and why.
pub(super) type Flaw = (String, String);

/// What of a value a subschema is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ValuePart<'a> {
    Member(&'a str),
    /// Members that `properties` of the same subschema does not have.
    OtherMember,
    /// Members whose names match a pattern: they may be any.
    PatternMember,
    Name,
    Item(usize),
    OtherItem,
    /// `contains` looks at each.
    EveryItem,
}

/// A subschema.
#[derive(Debug)]
struct Node<'a> {
    pointer: String,
    /// Subschemas that apply to the same place of the value.
    same: Vec<usize>,
    /// Subschemas that apply to a part of it.
    parts: Vec<(ValuePart<'a>, usize)>,
}

/// The subschemas of a file.
struct Graph<'a> {
    root: &'a Value,
    nodes: Vec<Node<'a>>,
    by_pointer: HashMap<String, usize>,
    anchors: HashMap<&'a str, String>,
}

/// Checks every reference that can be reached.
///
/// # Errors
/// The first place that is wrong.
pub(super) fn check(schema: &Value) -> Result<(), Flaw> {
    let mut graph = Graph { root: schema, nodes: Vec::new(), by_pointer: HashMap::new(), anchors: HashMap::new() };
    graph.find_anchors(schema, String::new())?;
    graph.node(schema, String::new())?;
    let same = graph.closures()?;
    let steps: Vec<Steps> = (0..graph.nodes.len()).map(|node| graph.steps(&same[node])).collect();
    let components = components(&steps);
    graph.check_growth(&same, &steps, &components)
}

/// For each part of a value, the subschemas that then apply, and how often.
type Steps = BTreeMap<usize, BTreeMap<usize, u64>>;

impl<'a> Graph<'a> {
    /// Notes every `$anchor` and `$dynamicAnchor`. A `$id` below the root would change what references mean.
    fn find_anchors(&mut self, value: &'a Value, pointer: String) -> Result<(), Flaw> {
        match value {
            Value::Object(members) => {
                if !pointer.is_empty() && members.get("$id").is_some_and(Value::is_string) {
                    return Err((pointer + "/$id", "only the root may have one: refer to #/$defs/...".to_owned()));
                }
                for name in ["$anchor", "$dynamicAnchor"].iter().filter_map(|name| members.get(*name)?.as_str()) {
                    self.anchors.insert(name, pointer.clone());
                }
                let mut members = members.iter().filter(|(name, _)| !matches!(name.as_str(), "enum" | "const"));
                members.try_for_each(|(name, it)| self.find_anchors(it, pointer_step(&pointer, name)))
            }
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(i, it)| self.find_anchors(it, format!("{pointer}/{i}")))
            }
            _ => Ok(()),
        }
    }

    /// The node of a subschema, made with all that it leads to when it is first met.
    fn node(&mut self, value: &'a Value, pointer: String) -> Result<usize, Flaw> {
        if let Some(node) = self.by_pointer.get(&pointer) {
            return Ok(*node);
        }
        let node = self.nodes.len();
        self.by_pointer.insert(pointer.clone(), node);
        self.nodes.push(Node { pointer: pointer.clone(), same: Vec::new(), parts: Vec::new() });
        for (keyword, value) in value.as_object().into_iter().flatten() {
            let place = pointer_step(&pointer, keyword);
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(reference)) => {
                    let (target, pointer) = self.target(reference).map_err(|why| (place, why))?;
                    let target = self.node(target, pointer)?;
                    self.nodes[node].same.push(target);
                }
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        let target = self.node(item, format!("{place}/{index}"))?;
                        match keyword.as_str() {
                            "prefixItems" => self.nodes[node].parts.push((ValuePart::Item(index), target)),
                            _ => self.nodes[node].same.push(target),
                        }
                    }
                }
                (
                    "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions",
                    Value::Object(all),
                ) => {
                    for (name, member) in all {
                        let target = self.node(member, pointer_step(&place, name))?;
                        match keyword.as_str() {
                            "properties" => self.nodes[node].parts.push((ValuePart::Member(name), target)),
                            "patternProperties" => self.nodes[node].parts.push((ValuePart::PatternMember, target)),
                            "dependentSchemas" => self.nodes[node].same.push(target),
                            _ => {}
                        }
                    }
                }
                ("not" | "if" | "then" | "else", _) => {
                    let target = self.node(value, place)?;
                    self.nodes[node].same.push(target);
                }
                (keyword, _) => {
                    let part = match keyword {
                        "additionalProperties" | "unevaluatedProperties" => ValuePart::OtherMember,
                        "propertyNames" => ValuePart::Name,
                        "items" | "unevaluatedItems" => ValuePart::OtherItem,
                        "contains" => ValuePart::EveryItem,
                        _ => continue,
                    };
                    let target = self.node(value, place)?;
                    self.nodes[node].parts.push((part, target));
                }
            }
        }
        Ok(node)
    }

    /// What a reference leads to, with the pointer to it.
    fn target(&self, reference: &str) -> Result<(&'a Value, String), String> {
        let id = self.root.get("$id").and_then(Value::as_str).map(|id| id.trim_end_matches('#')).unwrap_or_default();
        let fragment = match reference.strip_prefix(id).unwrap_or(reference) {
            "" => "",
            local => local.strip_prefix('#').ok_or("must lead into the same file, such as \"#/$defs/item\"")?,
        };
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let pointer = match self.anchors.get(fragment.as_ref()) {
            Some(pointer) => pointer.clone(),
            None => fragment.into_owned(),
        };
        let target = self.root.pointer(&pointer).filter(|target| target.is_object() || target.is_boolean());
        target.map(|target| (target, pointer)).ok_or_else(|| "leads nowhere".to_owned())
    }

    /// For each node those that apply to the same place, itself among them, and how often.
    fn closures(&self) -> Result<Vec<BTreeMap<usize, u64>>, Flaw> {
        let mut made: Vec<Option<BTreeMap<usize, u64>>> = vec![None; self.nodes.len()];
        let mut open = vec![false; self.nodes.len()];
        for node in 0..self.nodes.len() {
            self.closure(node, &mut made, &mut open)?;
        }
        Ok(made.into_iter().flatten().collect())
    }

    fn closure(&self, node: usize, made: &mut [Option<BTreeMap<usize, u64>>], open: &mut [bool]) -> Result<(), Flaw> {
        if made[node].is_some() {
            return Ok(());
        }
        let flaw = |why: &str| Err((self.nodes[node].pointer.clone(), why.to_owned()));
        if std::mem::replace(&mut open[node], true) {
            return flaw("its references lead back to it, for the same place of a value");
        }
        let mut all = BTreeMap::from([(node, 1)]);
        for target in &self.nodes[node].same {
            self.closure(*target, made, open)?;
            for (node, times) in made[*target].iter().flatten() {
                *all.entry(*node).or_default() += times;
            }
        }
        if all.values().sum::<u64>() > MOST_AT_A_PLACE {
            return flaw(MULTIPLIES);
        }
        made[node] = Some(all);
        Ok(())
    }

    /// What applies to the parts of a place to which these apply.
    fn steps(&self, here: &BTreeMap<usize, u64>) -> Steps {
        let mut parts: Vec<ValuePart<'_>> =
            here.keys().flat_map(|node| self.nodes[*node].parts.iter().map(|(part, _)| *part)).collect();
        parts.sort_unstable();
        parts.dedup();
        let mut steps = Steps::new();
        for (number, part) in parts.iter().enumerate() {
            let step: &mut BTreeMap<usize, u64> = steps.entry(number).or_default();
            for (node, times) in here {
                for (_, target) in self.nodes[*node].parts.iter().filter(|(own, _)| self.applies(*node, *own, *part)) {
                    *step.entry(*target).or_default() += times;
                }
            }
        }
        steps
    }

    /// Whether a node's subschema for `own` applies to a part of the value that is `part`.
    fn applies(&self, node: usize, own: ValuePart<'_>, part: ValuePart<'_>) -> bool {
        let has = |part: ValuePart<'_>| self.nodes[node].parts.iter().any(|(own, _)| *own == part);
        match (own, part) {
            (ValuePart::OtherMember, ValuePart::Member(_)) | (ValuePart::OtherItem, ValuePart::Item(_)) => !has(part),
            (ValuePart::OtherMember, ValuePart::PatternMember) => !has(part),
            (ValuePart::PatternMember, ValuePart::Member(_) | ValuePart::OtherMember) => true,
            (ValuePart::EveryItem, ValuePart::Item(_) | ValuePart::OtherItem)
            | (ValuePart::OtherItem, ValuePart::EveryItem) => true,
            (own, part) => own == part,
        }
    }

    /// Work grows with every level of a value if a subschema leads back to itself more than once for the same part.
    fn check_growth(&self, same: &[BTreeMap<usize, u64>], steps: &[Steps], components: &[usize]) -> Result<(), Flaw> {
        let mut most = vec![0_u64; steps.len()];
        let mut order: Vec<usize> = (0..steps.len()).collect();
        // Components are numbered so that what one leads to has a lower number.
        order.sort_unstable_by_key(|node| components[*node]);
        for node in order {
            let own: u64 = same[node].values().sum();
            let mut worst = own;
            for step in steps[node].values() {
                let (inside, outside): (Vec<_>, Vec<_>) =
                    step.iter().partition(|(target, _)| components[**target] == components[node]);
                if inside.iter().map(|(_, times)| **times).sum::<u64>() > 1 {
                    return Err((self.nodes[node].pointer.clone(), MULTIPLIES.to_owned()));
                }
                let there = outside.iter().map(|(target, times)| times.saturating_mul(most[**target]));
                worst = worst.max(there.fold(0, u64::saturating_add));
            }
            most[node] = worst;
            if worst > MOST_AT_A_PLACE {
                return Err((self.nodes[node].pointer.clone(), MULTIPLIES.to_owned()));
            }
        }
        Ok(())
    }
}

const MULTIPLIES: &str = "its references lead to the same subschema again and again, so that a small value would take very \
    long: let one reference lead there";

/// The strongly connected components of the steps (Tarjan), numbered from those that lead nowhere else.
fn components(steps: &[Steps]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    struct Search<'s> {
        steps: &'s [Steps],
        met: Vec<usize>,
        low: Vec<usize>,
        component: Vec<usize>,
        stack: Vec<usize>,
        next: (usize, usize),
    }
    fn visit(search: &mut Search<'_>, node: usize) {
        (search.met[node], search.low[node]) = (search.next.0, search.next.0);
        search.next.0 += 1;
        search.stack.push(node);
        let steps = search.steps;
        for target in steps[node].values().flat_map(BTreeMap::keys) {
            if search.met[*target] == NONE {
                visit(search, *target);
                search.low[node] = search.low[node].min(search.low[*target]);
            } else if search.component[*target] == NONE {
                search.low[node] = search.low[node].min(search.met[*target]);
            }
        }
        if search.low[node] == search.met[node] {
            while let Some(member) = search.stack.pop() {
                search.component[member] = search.next.1;
                if member == node {
                    break;
                }
            }
            search.next.1 += 1;
        }
    }
    let none = || vec![NONE; steps.len()];
    let mut search = Search { steps, met: none(), low: none(), component: none(), stack: Vec::new(), next: (0, 0) };
    for node in 0..steps.len() {
        if search.met[node] == NONE {
            visit(&mut search, node);
        }
    }
    search.component
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn recursive_schemas_that_lead_to_themselves_once_for_a_place_are_taken() {
        let this = json!({"$ref": "#"});
        for schema in [
            json!({"properties": {"left": this, "right": this}}),
            json!({"anyOf": [{"type": "array", "items": this}, {"additionalProperties": this}, {"type": "string"}]}),
            json!({"properties": {"a": this}, "additionalProperties": this}),
            json!({"prefixItems": [this, this], "items": this}),
            json!({"$dynamicAnchor": "node", "properties": {"children": {"items": {"$dynamicRef": "#node"}}}}),
            json!({"$id": "urn:x", "properties": {"a": {"$ref": "urn:x#/$defs/a~1b"}}, "$defs": {"a/b": this}}),
            json!({"propertyNames": {"$ref": "#/$defs/n%25"}, "$defs": {"n%": {"$anchor": "n", "items": {"$ref": "#n"}}}}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn references_that_lead_out_nowhere_or_in_circles_are_refused() {
        for (schema, pointer, why) in [
            (json!({"items": {"$ref": "https://example.com/a"}}), "/items/$ref", "the same file"),
            (json!({"items": {"$ref": "other.json#/a"}}), "/items/$ref", "the same file"),
            (json!({"$ref": "#/$defs/none"}), "/$ref", "leads nowhere"),
            (json!({"$ref": "#none"}), "/$ref", "leads nowhere"),
            (json!({"$ref": "#/required", "required": []}), "/$ref", "leads nowhere"),
            (json!({"$ref": "#"}), "", "back to it"),
            (json!({"properties": {"a": {"not": {"$ref": "#/properties/a"}}}}), "/properties/a", "back to it"),
            (json!({"$defs": {"a": {"$id": "b"}}}), "/$defs/a/$id", "only the root"),
        ] {
            let (place, reason) = check(&schema).unwrap_err();
            assert!(place == pointer && reason.contains(why), "{schema}: {place:?} {reason}");
        }
    }

    #[test]
    fn work_that_doubles_with_every_level_is_refused() {
        let (this, twice) = (json!({"$ref": "#"}), |level: usize| {
            let link = json!({"$ref": format!("#/$defs/{level}")});
            json!({"allOf": [link, link]})
        });
        let defs = |one: &dyn Fn(usize) -> Value| -> Value {
            let chain = (0..30).map(|level| (level.to_string(), one(level)));
            chain.chain([("30".to_owned(), json!(true))]).collect::<serde_json::Map<_, _>>().into()
        };
        for schema in [
            json!({"$ref": "#/$defs/0", "$defs": defs(&|level| twice(level + 1))}),
            json!({"$ref": "#/$defs/0", "$defs": defs(&|level| json!({"properties": {"a": twice(level + 1)}}))}),
            json!({"allOf": [{"items": this}, {"items": this}]}),
            json!({"items": this, "contains": this}),
            json!({"properties": {"a": this}, "patternProperties": {"a": this}}),
            json!({"anyOf": [{"additionalProperties": this}, {"properties": {"a": this}}]}),
            json!({"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"children": {"items": this}}}],
                "$defs": {"base": {"properties": {"children": {"items": this}}}}}),
        ] {
            assert!(check(&schema).is_err_and(|(_, why)| why == MULTIPLIES), "{schema}");
        }
    }
}
