// The AWS SDK for Java, asked line by line (tests/support/clients/driver.py).

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import software.amazon.awssdk.core.FileTransformerConfiguration;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.protocols.jsoncore.JsonNodeParser;
import software.amazon.awssdk.protocols.jsoncore.JsonWriter;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

class Driver {
    static final URI ENDPOINT = URI.create(System.getenv("AWS_ENDPOINT_URL"));
    static final long PART = 5 << 20;
    // What uploads in parts also downloads in parts, and never ends where an object is empty.
    static final S3AsyncClient S3 = client(false), IN_PARTS = client(true);

    static S3AsyncClient client(boolean isInParts) {
        return S3AsyncClient.builder()
            .endpointOverride(ENDPOINT)
            .forcePathStyle(true)
            .multipartEnabled(isInParts)
            .multipartConfiguration(to -> to.thresholdInBytes(PART).minimumPartSizeInBytes(PART))
            .overrideConfiguration(to -> to.retryStrategy(retry -> retry.maxAttempts(1)))
            .build();
    }

    static Object answer(JsonNode asked) throws Exception {
        String bucket = text(asked, "bucket"), key = text(asked, "key"), file = text(asked, "file");
        switch (text(asked, "do")) {
            case "make":
                S3.createBucket(to -> to.bucket(bucket)).join();
                return null;
            case "put":
                AsyncRequestBody body = AsyncRequestBody.fromFile(Path.of(file));
                IN_PARTS.putObject(to -> to.bucket(bucket).key(key), body).join();
                return null;
            case "get":
                String range = asked.field("range").map(Driver::header).orElse(null);
                S3.getObject(of -> of.bucket(bucket).key(key).range(range),
                    AsyncResponseTransformer.toFile(Path.of(file),
                        FileTransformerConfiguration.defaultCreateOrReplaceExisting())).join();
                return null;
            case "keys":
                List<String> found = new ArrayList<>();
                S3.listObjectsV2Paginator(of -> of.bucket(bucket).maxKeys(2)).contents()
                    .map(S3Object::key).subscribe(found::add).join();
                return found;
            case "copy":
                IN_PARTS.copyObject(of -> of.sourceBucket(bucket).sourceKey(text(asked, "source"))
                    .destinationBucket(bucket).destinationKey(key)).join();
                return null;
            case "url":
                return url(bucket, key);
            case "delete":
                S3.deleteObject(of -> of.bucket(bucket).key(key)).join();
                return null;
            default:
                throw new IllegalArgumentException(text(asked, "do"));
        }
    }

    static String url(String bucket, String key) {
        S3Configuration paths = S3Configuration.builder().pathStyleAccessEnabled(true).build();
        try (S3Presigner signer = S3Presigner.builder().endpointOverride(ENDPOINT)
                .serviceConfiguration(paths).build()) {
            return signer.presignGetObject(to -> to.signatureDuration(Duration.ofMinutes(5))
                .getObjectRequest(of -> of.bucket(bucket).key(key))).url().toString();
        }
    }

    static String text(JsonNode asked, String name) {
        return asked.field(name).map(JsonNode::text).orElse(null);
    }

    static String header(JsonNode range) {
        long start = Long.parseLong(range.asArray().get(0).asNumber());
        long stop = Long.parseLong(range.asArray().get(1).asNumber());
        return "bytes=" + start + "-" + (stop - 1);
    }

    @SuppressWarnings("unchecked")
    static byte[] line(String name, Object value) {
        JsonWriter out = JsonWriter.create().writeStartObject().writeFieldName(name);
        if (value == null) {
            out.writeNull();
        } else if (value instanceof String) {
            out.writeValue((String) value);
        } else {
            out.writeStartArray();
            ((List<String>) value).forEach(out::writeValue);
            out.writeEndArray();
        }
        return out.writeEndObject().getBytes();
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            byte[] answer;
            try {
                answer = line("ok", answer(JsonNodeParser.create().parse(line)));
            } catch (Exception error) {
                error.printStackTrace();
                answer = line("error", error.toString());
            }
            System.out.write(answer);
            System.out.println();
        }
        S3.close();
        IN_PARTS.close();
    }
}
