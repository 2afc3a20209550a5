/* A call in the caller's thread: the same routes, without a socket. */
#include "serve/serve_int.h"

#include <stdlib.h>

struct dispatch {
	struct serve_call call;
	serve_body_fn *body;
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool end, complete;
	struct weir_error err;
};

static int dispatch_push(struct serve_call *call, struct weir_str bytes, struct weir_error *err)
{
	struct dispatch *dispatch = call->transport.self;
	return dispatch->body(dispatch->context, call->status, bytes, err);
}

static void dispatch_finish(struct serve_call *call, bool complete)
{
	struct dispatch *dispatch = call->transport.self;
	pthread_mutex_lock(&dispatch->lock);
	dispatch->end = true;
	dispatch->complete = complete;
	pthread_cond_signal(&dispatch->ended);
	pthread_mutex_unlock(&dispatch->lock);
}

static struct weir_str request_header(const struct serve_request *request, const char *name)
{
	for (uint32_t i = 0; i < request->header_count; i++) {
		if (weir_str_is(request->headers[i].key, name))
			return request->headers[i].value;
	}
	return (struct weir_str){0};
}

/* False: refused, the answer is in call->out. */
static bool prepare(struct serve_call *call, const struct serve_request *request)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str target = request->target, query = {0};
	const char *question = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
	call->method = weir_str_from(request->method);
	call->path = target;
	if (question != NULL) {
		call->path.size = (size_t)(question - target.data);
		query = (struct weir_str){question + 1, target.size - call->path.size - 1};
	}
	call->source = WEIR_STR("local");
	call->content_type = request_header(request, "Content-Type");
	call->accept = request_header(request, "Accept");
	call->if_match = request_header(request, "If-Match");
	call->if_none_match = request_header(request, "If-None-Match");
	call->delegation = request_header(request, "X-Iceberg-Access-Delegation");
	call->no_gzip = true;
	if (url_query(call->arena, query, call->parameters, &call->parameter_count, &err) < 0) {
		problem_reply_error(call, &err);
		return false;
	}
	unsigned status = router_match(&call->app->router, call);
	if (status != 200 || call->route->body == SERVE_FILE) {
		problem_reply(call,
			&(struct problem){.status = status != 200 ? status : 501, .detail = "no such route here"});
		return false;
	}
	struct admit_headers headers = {.authorization = request_header(request, "Authorization")};
	weir_buf_append(&call->body, request->body.data, request->body.size);
	return admit(call, SERVE_DOOR_UNIX, &headers);
}

int serve_dispatch(struct engine *engine, const struct serve_request *request, serve_body_fn *body, void *context,
	unsigned *ret_status, struct weir_error *err)
{
	struct serve_app *app = app_new(engine, engine_lake(engine), NULL);
	struct weir_arena *arena = weir_arena_new(0);
	struct dispatch *dispatch = weir_zalloc(sizeof *dispatch);
	struct serve_call *call = &dispatch->call;
	dispatch->body = body;
	dispatch->context = context;
	pthread_mutex_init(&dispatch->lock, NULL);
	pthread_cond_init(&dispatch->ended, NULL);
	call_init(call, app, arena);
	call->transport = (struct serve_transport){dispatch_push, dispatch_finish, dispatch};
	if (prepare(call, request))
		call_run(call);
	else
		call_finish(call, 0, NULL);
	pthread_mutex_lock(&dispatch->lock);
	while (!dispatch->end)
		pthread_cond_wait(&dispatch->ended, &dispatch->lock);
	pthread_mutex_unlock(&dispatch->lock);
	*ret_status = call->status;
	int rc = dispatch->complete ? 0 : weir_fail(err, WEIR_E_IO, "the answer broke off; ask again");
	call_done(call);
	pthread_mutex_destroy(&dispatch->lock);
	pthread_cond_destroy(&dispatch->ended);
	free(dispatch);
	weir_arena_free(arena);
	app_free(app);
	return rc;
}
