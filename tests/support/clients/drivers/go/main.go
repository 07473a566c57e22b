// Drives the AWS SDK for Go: reads one request per line as JSON, answers with a line of JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type request struct {
	Do, Bucket, Key, Source, File string
	Range                         *[2]int64
}

func answer(client *s3.Client, asked request) (any, error) {
	ctx, bucket, key := context.Background(), &asked.Bucket, &asked.Key
	switch asked.Do {
	case "make":
		return client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	case "put":
		file, err := os.Open(asked.File)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		parts := func(up *manager.Uploader) { up.PartSize = 5 << 20 }
		input := &s3.PutObjectInput{Bucket: bucket, Key: key, Body: file}
		return manager.NewUploader(client, parts).Upload(ctx, input)
	case "get":
		input := &s3.GetObjectInput{Bucket: bucket, Key: key}
		if asked.Range != nil {
			input.Range = aws.String(fmt.Sprintf("bytes=%d-%d", asked.Range[0], asked.Range[1]-1))
		}
		return nil, get(ctx, client, input, asked.File)
	case "keys":
		return keys(ctx, client, bucket)
	case "copy":
		source := url.QueryEscape(asked.Bucket + "/" + asked.Source)
		return client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key, CopySource: &source})
	case "url":
		input := &s3.GetObjectInput{Bucket: bucket, Key: key}
		signed, err := s3.NewPresignClient(client).PresignGetObject(ctx, input)
		if err != nil {
			return nil, err
		}
		return signed.URL, nil
	case "delete":
		return client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	}
	return nil, fmt.Errorf("no such request: %s", asked.Do)
}

func get(ctx context.Context, client *s3.Client, input *s3.GetObjectInput, name string) error {
	got, err := client.GetObject(ctx, input)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, got.Body)
	return err
}

func keys(ctx context.Context, client *s3.Client, bucket *string) ([]string, error) {
	input := &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(2)}
	found := []string{}
	for pages := s3.NewListObjectsV2Paginator(client, input); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, entry := range page.Contents {
			found = append(found, *entry.Key)
		}
	}
	return found, nil
}

func main() {
	loaded, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	client := s3.NewFromConfig(loaded, func(options *s3.Options) { options.UsePathStyle = true })
	out := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		value, err := answer(client, asked)
		if err != nil {
			value = map[string]string{"error": err.Error()}
		} else {
			value = map[string]any{"ok": value}
		}
		if err := out.Encode(value); err != nil {
			panic(err)
		}
	}
}
