//! The AWS SDK for Rust. It leaves uploads in parts to its user.
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_sdk_s3::Client;
use s3server_clients::{encoded, serve, Answer, Asked};
use serde_json::{json, Value};
use std::time::Duration;

const PART: u64 = 5 << 20;

async fn answer(s3: &Client, asked: Asked) -> Answer {
    let (bucket, key, file) = (asked.text("bucket"), asked.text("key"), asked.text("file"));
    match asked.text("do") {
        "make" => {
            s3.create_bucket().bucket(bucket).send().await?;
        }
        "put" if tokio::fs::metadata(file).await?.len() > PART => in_parts(s3, bucket, key, file).await?,
        "put" => {
            let body = ByteStream::from_path(file).await?;
            s3.put_object().bucket(bucket).key(key).body(body).send().await?;
        }
        "get" => {
            let range = asked.range().map(|(start, stop)| format!("bytes={start}-{}", stop - 1));
            let got = s3.get_object().bucket(bucket).key(key).set_range(range).send().await?;
            tokio::fs::write(file, got.body.collect().await?.into_bytes()).await?;
        }
        "keys" => return keys(s3, bucket).await,
        "copy" => {
            let source = format!("{bucket}/{}", encoded(asked.text("source")));
            s3.copy_object().bucket(bucket).key(key).copy_source(source).send().await?;
        }
        "url" => {
            let lasts = PresigningConfig::expires_in(Duration::from_secs(300))?;
            let signed = s3.get_object().bucket(bucket).key(key).presigned(lasts).await?;
            return Ok(json!(signed.uri()));
        }
        "delete" => {
            s3.delete_object().bucket(bucket).key(key).send().await?;
        }
        other => return Err(other.into()),
    }
    Ok(Value::Null)
}

async fn in_parts(s3: &Client, bucket: &str, key: &str, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let begun = s3.create_multipart_upload().bucket(bucket).key(key).send().await?;
    let size = tokio::fs::metadata(file).await?.len();
    let mut upload = CompletedMultipartUpload::builder();
    for (number, start) in (1..).zip((0..size).step_by(PART as usize)) {
        let length = Length::Exact(PART.min(size - start));
        let body = ByteStream::read_from().path(file).offset(start).length(length).build().await?;
        let part = s3.upload_part().bucket(bucket).key(key).part_number(number).body(body);
        let stored = part.set_upload_id(begun.upload_id.clone()).send().await?;
        let crc32 = stored.checksum_crc32().map(str::to_owned);
        let done = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        upload = upload.parts(done.set_checksum_crc32(crc32).build());
    }
    let complete = s3.complete_multipart_upload().bucket(bucket).key(key).multipart_upload(upload.build());
    complete.set_upload_id(begun.upload_id).send().await?;
    Ok(())
}

async fn keys(s3: &Client, bucket: &str) -> Answer {
    let mut pages = s3.list_objects_v2().bucket(bucket).max_keys(2).into_paginator().send();
    let mut found = vec![];
    while let Some(page) = pages.next().await {
        found.extend(page?.contents().iter().filter_map(|entry| entry.key().map(str::to_owned)));
    }
    Ok(json!(found))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let loaded = aws_config::load_from_env().await;
    let s3 = &Client::from_conf(aws_sdk_s3::config::Builder::from(&loaded).force_path_style(true).build());
    serve(|asked| async move { answer(s3, asked).await }).await;
}
