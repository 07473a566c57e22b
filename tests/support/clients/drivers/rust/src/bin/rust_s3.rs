//! The crate rust-s3, whose parts are 8 MiB.
use s3::creds::Credentials;
use s3::{Bucket, BucketConfiguration, Region};
use s3server_clients::{encoded, serve, Answer, Asked};
use serde_json::{json, Value};
use std::env::var;

async fn answer(asked: Asked) -> Answer {
    let (name, key, file) = (asked.text("bucket"), asked.text("key"), asked.text("file"));
    let region = Region::Custom { region: var("AWS_REGION")?, endpoint: var("AWS_ENDPOINT_URL")? };
    let who = Credentials::from_env()?;
    if asked.text("do") == "make" {
        let private = BucketConfiguration::default();
        Bucket::create_with_path_style(name, region, who, private).await?;
        return Ok(Value::Null);
    }
    let bucket = Bucket::new(name, region, who)?.with_path_style();
    match asked.text("do") {
        "put" => {
            bucket.put_object_stream(&mut tokio::fs::File::open(file).await?, key).await?;
        }
        "get" => {
            let got = match asked.range() {
                Some((start, stop)) => bucket.get_object_range(key, start, Some(stop - 1)).await?,
                None => bucket.get_object(key).await?,
            };
            tokio::fs::write(file, got.as_slice()).await?;
        }
        "keys" => {
            let pages = bucket.list(String::new(), None).await?;
            let entries = pages.iter().flat_map(|page| &page.contents);
            return Ok(json!(entries.map(|entry| &entry.key).collect::<Vec<_>>()));
        }
        "copy" => {
            bucket.copy_object_internal(encoded(asked.text("source")), key).await?;
        }
        "url" => return Ok(json!(bucket.presign_get(key, 300, None).await?)),
        "delete" => {
            bucket.delete_object(key).await?;
        }
        other => return Err(other.into()),
    }
    Ok(Value::Null)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    serve(answer).await;
}
