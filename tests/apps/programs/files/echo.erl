% SPDX-License-Identifier: BSD-2-Clause
%% echo.erl - gen_tcp: a server with a process for each connection, and a client of twenty processes that all connect at once
-module(echo).
-export([server/1, client/1]).

port(Arg) -> list_to_integer(atom_to_list(Arg)).

server([Port]) ->
	{ok, Listener} = gen_tcp:listen(port(Port), [binary, {active, false}, {reuseaddr, true}, {ip, {127, 0, 0, 1}}, {backlog, 50}]),
	accept(Listener).

accept(Listener) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	spawn(fun() -> receive go -> echo(Socket) end end) ! go,
	accept(Listener).

echo(Socket) ->
	case gen_tcp:recv(Socket, 0) of
		{ok, Data} -> ok = gen_tcp:send(Socket, Data), echo(Socket);
		{error, closed} -> gen_tcp:close(Socket)
	end.

client([Port]) ->
	Main = self(),
	Names = lists:seq(1, 20),
	[spawn_link(fun() -> Main ! {Name, ask(port(Port), Name)} end) || Name <- Names],
	[receive {Name, Answer} -> io:format("~p ~p~n", [Name, Answer]) end || Name <- Names],
	halt(0).

ask(Port, Name) ->
	{ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, true}]),
	Data = binary:copy(<<Name>>, 100000),
	ok = gen_tcp:send(Socket, Data),
	Data = collect(Socket, <<>>),
	gen_tcp:close(Socket),
	erlang:phash2(Data).

collect(_, Got) when byte_size(Got) == 100000 -> Got;
collect(Socket, Got) -> receive {tcp, Socket, Data} -> collect(Socket, <<Got/binary, Data/binary>>) end.
