package integration;

import ca.uhn.fhir.interceptor.api.Hook;
import ca.uhn.fhir.interceptor.api.Interceptor;
import ca.uhn.fhir.interceptor.api.Pointcut;

/** Keeps each request waiting for a fixed time before it is handled. */
@Interceptor
public class Delay {

  private static final int MILLISECONDS = 50;

  /** Waits. */
  @Hook(Pointcut.SERVER_INCOMING_REQUEST_PRE_HANDLED)
  public void waitAWhile() throws InterruptedException {
    Thread.sleep(MILLISECONDS);
  }
}
