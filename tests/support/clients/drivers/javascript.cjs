// The AWS SDK for JavaScript, asked line by line (tests/support/clients/driver.py).
const fs = require("node:fs");
const readline = require("node:readline");
const { pipeline } = require("node:stream/promises");
const sdk = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const client = new sdk.S3Client({
  endpoint: process.env.AWS_ENDPOINT_URL,
  region: process.env.AWS_REGION,
  forcePathStyle: true,
  maxAttempts: 1,
});

const requests = {
  make: ({ bucket }) => client.send(new sdk.CreateBucketCommand({ Bucket: bucket })),
  put: ({ bucket, key, file }) => {
    const params = { Bucket: bucket, Key: key, Body: fs.createReadStream(file) };
    return new Upload({ client, params, partSize: 5 << 20 }).done();
  },
  get: async ({ bucket, key, file, range }) => {
    const Range = range && `bytes=${range[0]}-${range[1] - 1}`;
    const got = await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key, Range }));
    await pipeline(got.Body, fs.createWriteStream(file));
  },
  keys: async ({ bucket }) => {
    const found = [];
    const pages = sdk.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket: bucket });
    for await (const page of pages) found.push(...(page.Contents ?? []).map((entry) => entry.Key));
    return found;
  },
  copy: ({ bucket, source, key }) => {
    const CopySource = `${bucket}/${encodeURIComponent(source)}`;
    return client.send(new sdk.CopyObjectCommand({ Bucket: bucket, Key: key, CopySource }));
  },
  url: ({ bucket, key }) => getSignedUrl(client, new sdk.GetObjectCommand({ Bucket: bucket, Key: key })),
  delete: ({ bucket, key }) => client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key })),
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const found = await requests[asked.do](asked).catch((error) => ({ error: error.stack }));
    const is_answer = found instanceof Array || typeof found === "string";
    const answer = found?.error ? found : { ok: is_answer ? found : null };
    console.log(JSON.stringify(answer));
  }
}

main();
