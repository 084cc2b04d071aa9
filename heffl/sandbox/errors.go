package sandbox

import (
	"fmt"
	"net/http"
)

// apiError is one error answer. https://docs.heffl.com/api-v2/errors
type apiError struct {
	status  int
	code    string
	message string
	issues  []issue // only with VALIDATION_ERROR
}

// issue is one fault of a request. Field is a path such as products.0.quantity, and is empty for an unknown field, as in
// the documented example; how Heffl writes the path of a nested member is not documented.
type issue struct {
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func (e *apiError) reply() reply {
	body := object{{"code", e.code}, {"message", e.message}}
	if len(e.issues) > 0 {
		body = append(body, member{"details", object{{"issues", e.issues}}})
	}
	return jsonReply(e.status, object{{"error", body}})
}

func unauthorized() *apiError {
	return &apiError{status: http.StatusUnauthorized, code: "UNAUTHORIZED", message: "Missing or invalid API key. Provide it in the x-api-key header."}
}

func notFound(what string) *apiError {
	return &apiError{status: http.StatusNotFound, code: "NOT_FOUND", message: what + " not found"}
}

// methodNotAllowed has a status and a code that are not documented; a 404 is about as likely.
func methodNotAllowed(method string) *apiError {
	return &apiError{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", message: method + " is not supported here"}
}

func badRequest(format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "BAD_REQUEST", message: fmt.Sprintf(format, args...)}
}

// tooLarge is a guess: neither a limit nor its error is documented.
func tooLarge() *apiError {
	return &apiError{status: http.StatusRequestEntityTooLarge, code: "BAD_REQUEST", message: "Request body too large"}
}

func invalid(issues ...issue) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "VALIDATION_ERROR", message: "Validation failed", issues: issues}
}

func tooManyRequests() *apiError {
	return &apiError{status: http.StatusTooManyRequests, code: "TOO_MANY_REQUESTS", message: "Rate limit exceeded. Wait for RateLimit-Reset and try again."}
}

func internalError() *apiError {
	return &apiError{status: http.StatusInternalServerError, code: "INTERNAL_SERVER_ERROR", message: "Something went wrong"}
}

func unknownField(name string) issue {
	return issue{Message: "Unknown field: " + name + ". Only documented fields and cf_* keys are allowed."}
}
