<?php
// PHP trusts no proxy by itself: an application must read X-Forwarded-Host. BEHIND_PROXY turns that on here.
$forwarded = getenv('BEHIND_PROXY') ? ($_SERVER['HTTP_X_FORWARDED_HOST'] ?? null) : null;
$host = $forwarded ?? $_SERVER['HTTP_HOST'];

switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/self':
        header('content-type: application/json');
        echo json_encode(['url' => "http://$host/target"]);
        break;
    case '/redirect':
        header("Location: http://$host/target", true, 302);
        break;
    case '/form':
        if (parse_url($_SERVER['HTTP_ORIGIN'], PHP_URL_HOST) . ':' . parse_url($_SERVER['HTTP_ORIGIN'], PHP_URL_PORT) !== $host) {
            http_response_code(403);
            break;
        }
        header('content-type: application/json');
        echo json_encode(['name' => $_POST['name'], 'bytes' => $_FILES['file']['size']]);
        break;
    case '/cookies':
        setcookie('one', '1');
        setcookie('two', '2', ['httponly' => true]);
        header('content-type: application/json');
        echo json_encode((object) $_COOKIE);
        break;
    default:
        echo 'target';
}
