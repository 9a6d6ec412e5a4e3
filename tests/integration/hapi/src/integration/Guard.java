package integration;

import ca.uhn.fhir.interceptor.api.Hook;
import ca.uhn.fhir.interceptor.api.Interceptor;
import ca.uhn.fhir.interceptor.api.Pointcut;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.server.exceptions.AuthenticationException;
import ca.uhn.fhir.rest.server.exceptions.ForbiddenOperationException;

/** Answers 401 without the token of the tests, and 403 where that token has no scope. */
@Interceptor
public class Guard {

  private static final String TOKEN = "Bearer integration-token";
  private static final String NO_SCOPE = "AllergyIntolerance";

  /** Refuses the request, or lets it pass. */
  @Hook(Pointcut.SERVER_INCOMING_REQUEST_PRE_HANDLED)
  public void check(RequestDetails request) {
    if (!TOKEN.equals(request.getHeader("Authorization"))) {
      throw new AuthenticationException("The token is missing or not known");
    }
    if (NO_SCOPE.equals(request.getResourceName())) {
      throw new ForbiddenOperationException("The token has no scope for " + NO_SCOPE);
    }
  }
}
