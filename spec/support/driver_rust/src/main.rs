//! What the Rust driver for ScyllaDB makes of a simulated cluster. It prints one line for each
//! thing that it saw; spec/live/driver_rust_spec.lua knows what they must be.
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use std::error::Error;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROWS: i32 = 60;

fn say(name: &str, value: impl std::fmt::Display) {
    println!("{name}: {value}");
}

/// Says it, and leaves the script the time to do something about it.
async fn reach(name: &str) {
    say(name, "now");
    tokio::time::sleep(Duration::from_millis(1000)).await;
}

async fn read_all(session: &Session, select: &PreparedStatement) -> Outcome<()> {
    for id in 0..ROWS {
        session.execute_unpaged(select, (id,)).await?;
    }
    Ok(())
}

/// "token:host/shard,host/shard; ..." as the driver would route each row.
fn tablets(session: &Session, select: &PreparedStatement) -> Outcome<String> {
    let state = session.get_cluster_state();
    let mut views = Vec::new();
    for id in 0..ROWS {
        let token = select.calculate_token(&(id,))?.ok_or("no token")?;
        let replicas: Vec<String> = state
            .get_token_endpoints("ks", "t", token)
            .iter()
            .map(|(node, shard)| format!("{}/{}", node.host_id, shard))
            .collect();
        views.push(format!("{}:{}", token.value(), replicas.join(",")));
    }
    Ok(views.join("; "))
}

fn nodes(session: &Session) -> String {
    let mut nodes: Vec<String> = session
        .get_cluster_state()
        .get_nodes_info()
        .iter()
        .map(|node| {
            let shards = node.sharder().map_or(0, |sharder| sharder.nr_shards.get());
            format!("{} {} {}", node.address.ip(), node.rack.as_deref().unwrap_or(""), shards)
        })
        .collect();
    nodes.sort();
    nodes.join(",")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let session = SessionBuilder::new().known_node("127.0.77.1:9042").build().await?;
    let insert = session.prepare("INSERT INTO ks.t (id, v) VALUES (?, ?)").await?;
    for id in 0..ROWS {
        session.execute_unpaged(&insert, (id, format!("v{id}"))).await?;
    }
    let select = session.prepare("SELECT v FROM ks.t WHERE id = ?").await?;
    let lwt = session.prepare("UPDATE ks.t SET v = ? WHERE id = ? IF EXISTS").await?;
    say("lwt", format!("{} {}", lwt.is_confirmed_lwt(), select.is_confirmed_lwt()));
    let row = session.execute_unpaged(&select, (7,)).await?.into_rows_result()?;
    say("row", row.single_row::<(String,)>()?.0);
    read_all(&session, &select).await?;
    reach("learned").await;
    read_all(&session, &select).await?;
    say("nodes", nodes(&session));
    say("tablets", tablets(&session, &select)?);
    reach("settled").await;
    for _ in 0..4 {
        read_all(&session, &select).await?;
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    say("moved tablets", tablets(&session, &select)?);
    say("end", "now");
    Ok(())
}
