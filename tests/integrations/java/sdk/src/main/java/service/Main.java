package service;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/**
 * A service that takes everything from its environment. For each line on its standard input, {@code NAME COUNT}, it makes so
 * many traces of one span, sends them, and says how many of them are sampled. It ends with its input.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    OpenTelemetrySdk sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk();
    Tracer tracer = sdk.getTracer("service");
    System.out.println("ready");
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] words = line.split(" ");
      int sampled = 0;
      for (int i = 0; i < Integer.parseInt(words[1]); i++) {
        Span span = tracer.spanBuilder(words[0]).setNoParent().startSpan();
        sampled += span.getSpanContext().isSampled() ? 1 : 0;
        span.end();
      }
      sdk.getSdkTracerProvider().forceFlush().join(20, TimeUnit.SECONDS);
      System.out.println(sampled);
    }
    sdk.close();
  }
}
