// Sends one command of the AWS SDK for JavaScript and prints its answer as JSON:
//     node feature_client.cjs PutBucketVersioning '{"Bucket": "..."}'
// or makes a form (PresignedPost) or a URL for PUT (PresignedPut). Settings are the environment's.
const sdk = require("@aws-sdk/client-s3");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

async function answer(client, name, input) {
  if (name === "PresignedPost") return createPresignedPost(client, input);
  if (name === "PresignedPut")
    return { url: await getSignedUrl(client, new sdk.PutObjectCommand(input), { expiresIn: 60 }) };
  const { $metadata, ...found } = await client.send(new sdk[`${name}Command`](input));
  return found;
}

function dates(name, value) {
  return name === "RetainUntilDate" ? new Date(value) : value;
}

const [name, input] = process.argv.slice(2);
const client = new sdk.S3Client({
  endpoint: process.env.AWS_ENDPOINT_URL,
  region: process.env.AWS_REGION,
  forcePathStyle: true,
  maxAttempts: 1,
  // Else a signed URL demands the checksum of no bytes, because the SDK does not know the body.
  requestChecksumCalculation: name === "PresignedPut" ? "WHEN_REQUIRED" : "WHEN_SUPPORTED",
});
answer(client, name, JSON.parse(input, dates)).then(
  (found) => console.log(JSON.stringify(found)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
