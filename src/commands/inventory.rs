//! `inventory list` and `inventory show`: what is in the inventory, and where each setting came from.

use serde_json::{Value as Json, json};

use crate::inventory::{Loaded, Selected, Setting};

/// The format number of the JSON objects.
const FORMAT: u32 = 1;

/// A host that is not in the inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no host `{host}` in the inventory{}", did_you_mean(.near))]
pub struct UnknownHost {
    /// What was asked for.
    pub host: String,
    /// Hosts with a name near to it.
    pub near: Vec<String>,
}

/// The chosen hosts as a table: cluster, version, host, address, member.
pub fn list(selected: &[Selected]) -> String {
    let mut rows = vec![["CLUSTER", "VERSION", "HOST", "ADDRESS", "MEMBER"].map(str::to_owned)];
    for Selected { cluster, chosen } in selected {
        let version = cluster
            .version
            .as_ref()
            .map_or("-".to_owned(), ToString::to_string);
        for host in cluster
            .hosts
            .iter()
            .filter(|host| chosen.contains(&host.name))
        {
            rows.push([
                cluster.name.clone(),
                version.clone(),
                host.name.clone(),
                host.address.clone(),
                host.member.clone(),
            ]);
        }
    }
    table(&rows)
}

/// The chosen hosts as one JSON object.
pub fn list_json(selected: &[Selected]) -> Json {
    let clusters = selected.iter().map(|Selected { cluster, chosen }| {
        let hosts = cluster
            .hosts
            .iter()
            .filter(|host| chosen.contains(&host.name));
        let hosts = hosts.map(
            |host| json!({ "name": host.name, "address": host.address, "member": host.member }),
        );
        json!({
            "name": cluster.name,
            "version": cluster.version,
            "hosts": hosts.collect::<Vec<_>>(),
        })
    });
    json!({ "format": FORMAT, "kind": "inventory", "clusters": clusters.collect::<Vec<_>>() })
}

/// All settings of a host as a table: key, value, where it came from.
///
/// # Errors
/// [`UnknownHost`], with near names.
pub fn show(loaded: &Loaded, host: &str) -> Result<String, UnknownHost> {
    let (cluster, settings) = settings(loaded, host)?;
    let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned)];
    rows.extend(settings.into_iter().map(|s| [s.key, s.value, s.from]));
    Ok(format!(
        "host {host} of cluster {cluster}\n\n{}",
        table(&rows)
    ))
}

/// All settings of a host as one JSON object.
///
/// # Errors
/// [`UnknownHost`], with near names.
pub fn show_json(loaded: &Loaded, host: &str) -> Result<Json, UnknownHost> {
    let (cluster, settings) = settings(loaded, host)?;
    Ok(json!({
        "format": FORMAT,
        "kind": "host",
        "cluster": cluster,
        "host": host,
        "settings": settings,
    }))
}

fn settings<'a>(loaded: &'a Loaded, host: &str) -> Result<(&'a str, Vec<Setting>), UnknownHost> {
    let mut clusters = loaded.inventory.clusters.values();
    let cluster = clusters.find(|cluster| cluster.host(host).is_some());
    match (cluster, loaded.origins.of_host(host)) {
        (Some(cluster), Some(settings)) => Ok((&cluster.name, settings)),
        _ => Err(UnknownHost {
            host: host.to_owned(),
            near: loaded.inventory.near_hosts(host),
        }),
    }
}

fn did_you_mean(near: &[String]) -> String {
    let near: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
    match near.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// Rows as columns, two spaces apart, nothing behind the last.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        let line: String = cells.collect();
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}
